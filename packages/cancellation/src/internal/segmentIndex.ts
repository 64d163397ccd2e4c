/**
 * What a process watches, found by a key.
 */

export interface SegmentIndex<S> {
  readonly under: (key: string) => ReadonlyArray<S>
  readonly add: (segment: S) => void
  readonly remove: (segment: S) => void
  readonly all: () => ReadonlyArray<S>
  /** How many keys there are. */
  readonly size: () => number
}

export const makeSegmentIndex = <S>(keyOf: (segment: S) => string): SegmentIndex<S> => {
  const segments = new Map<string, Array<S>>()
  const under = (key: string): ReadonlyArray<S> => segments.get(key) ?? []
  return {
    under,
    add: (segment) => {
      const others = segments.get(keyOf(segment))
      if (others === undefined) segments.set(keyOf(segment), [segment])
      else others.push(segment)
    },
    remove: (segment) => {
      const others = under(keyOf(segment)).filter((other) => other !== segment)
      if (others.length === 0) segments.delete(keyOf(segment))
      else segments.set(keyOf(segment), others)
    },
    all: () => Array.from(segments.values()).flat(),
    size: () => segments.size
  }
}
