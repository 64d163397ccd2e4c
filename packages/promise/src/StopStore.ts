/**
 * Where stops are kept, and what tells other processes of them.
 *
 * @since 0.1.0
 */
import { memorySource } from "./internal/memory.ts"
import type { keptIn, toldBy } from "./internal/opaque.ts"
import { positive } from "./internal/settings.ts"
import { storeOf } from "./internal/source.ts"

/**
 * A store of stops: `memory()`, `defineStore(…)`, or what a subpath of the package makes. It is opened
 * at the first use.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopStore {
  readonly [keptIn]: unknown
}

/**
 * What tells other processes of stops at once: `redis(…)` of `effect-cancellation-promise/redis`. A
 * stop is in the store first, so a signal that fails loses nothing: polling finds it.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopSignal {
  readonly [toldBy]: unknown
}

/**
 * This process's memory: for tests, and for programs of one process. It keeps every run until
 * `stops.forget`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const memory = (
  options: {
    /** How long a stop waits for a run that has not begun, in milliseconds. Default 30,000. */
    readonly tombstoneTtl?: number | undefined
  } = {}
): StopStore => {
  positive("tombstoneTtl", options.tombstoneTtl)
  return storeOf(memorySource(options.tombstoneTtl))
}
