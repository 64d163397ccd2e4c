/**
 * The time by which an agent waits.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** In milliseconds, of a clock that nobody sets. */
export const elapsed = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
