/**
 * The watches that are open, for a drain.
 */
import type * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Watch } from "./watch.ts"

export interface OpenWatches {
  readonly all: () => ReadonlyArray<Watch>
  /** Waits until none is open. */
  readonly none: Effect.Effect<void>
  readonly add: (watch: Watch) => void
  readonly remove: (watch: Watch) => void
}

export const makeOpenWatches = (): OpenWatches => {
  const watches = new Set<Watch>()
  const none = Latch.makeUnsafe(true)
  return {
    all: () => Array.from(watches),
    none: none.await,
    add: (watch) => {
      watches.add(watch)
      none.closeUnsafe()
    },
    remove: (watch) => {
      watches.delete(watch)
      if (watches.size === 0) none.openUnsafe()
    }
  }
}
