/**
 * How many watches of a repo have a run, by its key: the first tells the store of it, and the last to
 * close how it ended. Where the store knows no runs nobody joins.
 */

export interface LiveRuns {
  readonly has: (key: string) => boolean
  /** Answers whether no other watch has the run. */
  readonly join: (key: string) => boolean
  /** Answers whether no other watch has the run any more. */
  readonly leave: (key: string) => boolean
}

export const makeLiveRuns = (): LiveRuns => {
  const watches = new Map<string, number>()
  return {
    has: (key) => watches.has(key),
    join: (key) => {
      const others = watches.get(key) ?? 0
      watches.set(key, others + 1)
      return others === 0
    },
    leave: (key) => {
      const others = (watches.get(key) ?? 1) - 1
      if (others > 0) watches.set(key, others)
      else watches.delete(key)
      return others === 0
    }
  }
}
