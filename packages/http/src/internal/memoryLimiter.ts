/**
 * Counts in this process's memory, where no rate limiter is given. The store in memory of
 * `effect/persistence` forgets no key, so each key has one of its own, which is let go when nothing
 * of it counts any more.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { RateLimiter } from "effect/persistence"

export type Consume = RateLimiter.RateLimiter["consume"]

interface Kept {
  readonly consume: Consume
  /** In milliseconds since 1970: when all that was taken is given back. */
  readonly until: number
}

/** Counts with limits of at most this window. `kept` holds as many as were active in the last one. */
export const makeMemoryLimiter = (
  window: Duration.Duration,
  kept = new Map<string, Kept>()
): { readonly consume: Consume } => ({
  consume: Effect.fnUntraced(function* (asked) {
    const now = yield* Clock.currentTimeMillis
    for (const [old, { until }] of kept) {
      // In the order in which they were last asked for.
      if (until > now) break
      kept.delete(old)
    }
    const { consume } = kept.get(asked.key) ?? (yield* makeLimiter)
    kept.delete(asked.key)
    kept.set(asked.key, { consume, until: now + Duration.toMillis(window) })
    return yield* consume(asked)
  })
})

// Not shared with anybody: what one layer has built for all would be one store for all.
const makeLimiter = Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory, { local: true })
