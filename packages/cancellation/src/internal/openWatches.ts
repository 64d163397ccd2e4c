/**
 * The watches that are open, for a drain.
 */
import type * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { makeRoster } from "./roster.ts"
import type { RunWatch } from "./watch.ts"

export interface OpenWatches {
  readonly all: () => ReadonlyArray<RunWatch>
  /** Waits until none is open. */
  readonly none: Effect.Effect<void>
  readonly add: (watch: RunWatch) => void
  readonly remove: (watch: RunWatch) => void
}

export const makeOpenWatches = (): OpenWatches => {
  const watches = makeRoster<RunWatch>()
  const none = Latch.makeUnsafe(true)
  return {
    all: watches.all,
    none: none.await,
    add: (watch) => {
      watches.add(watch)
      none.closeUnsafe()
    },
    remove: (watch) => {
      watches.remove(watch)
      if (watches.size() === 0) none.openUnsafe()
    }
  }
}
