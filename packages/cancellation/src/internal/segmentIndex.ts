/**
 * What a process watches, found by a key.
 */

export interface SegmentIndex<S> {
  /** A copy: what is done with them may remove some. */
  readonly under: (key: string) => ReadonlyArray<S>
  readonly add: (segment: S) => void
  readonly remove: (segment: S) => void
  readonly all: () => ReadonlyArray<S>
  /** How many keys there are. */
  readonly size: () => number
}

export const makeSegmentIndex = <S>(keyOf: (segment: S) => string): SegmentIndex<S> => {
  const segments = new Map<string, Array<S>>()
  return {
    under: (key) => segments.get(key)?.slice() ?? [],
    add: (segment) => {
      const others = segments.get(keyOf(segment))
      if (others === undefined) segments.set(keyOf(segment), [segment])
      else others.push(segment)
    },
    remove: (segment) => {
      const key = keyOf(segment)
      const all = segments.get(key)
      if (all === undefined) return
      // In place: a table that the map has outgrown still leads to the array (see `roster.ts`).
      if (all[0] === segment) all.shift()
      else if (all.includes(segment)) all.splice(all.indexOf(segment), 1)
      if (all.length === 0) segments.delete(key)
    },
    all: () => Array.from(segments.values()).flat(),
    size: () => segments.size
  }
}
