/**
 * How many new stops an actor may ask. Repeating one is free: a person whose page has lost its
 * connection presses Stop again and again, and must never be told to wait.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { defaultTenant, messageKey, runKey, type StopTarget } from "effect-cancellation"
import type { RateLimiter } from "effect/persistence"
import type { Actor } from "../CurrentActor.ts"
import { RateLimited } from "../Problem.ts"
import { within } from "./within.ts"

type Person = Actor["Service"]

export interface StopLimit {
  /** Takes one of the actor's stops; refused if none is left. */
  readonly spend: (actor: Person) => Effect.Effect<void, RateLimited>
  /** Whether this process was asked for the same a moment ago, when nothing ran there yet. */
  readonly isWaiting: (actor: Person, target: StopTarget) => Effect.Effect<boolean>
  /** Remembers a stop that waits for its run; answers whether it was the same one before. */
  readonly wait: (actor: Person, target: StopTarget, askedAt: number) => Effect.Effect<boolean>
}

export const makeStopLimit = (options: {
  readonly limiter: RateLimiter.RateLimiter
  readonly limit: number
  readonly window: Duration.Duration
}): StopLimit => {
  const { limit, limiter, window } = options
  const waiting = new Map<string, { readonly askedAt: number; readonly until: number }>()

  return {
    spend: (actor) =>
      limiter.consume({ key: `stop:${keyOf(actor)}`, limit, window, onExceeded: "fail" }).pipe(
        Effect.asVoid,
        Effect.catch(({ reason }) =>
          reason._tag === "RateLimitExceeded"
            ? Effect.fail(tooMany(reason.retryAfter))
            : // A stop matters more than its count.
              Effect.logWarning("Stops are not limited: the store of the rate limiter has failed")
        ),
        within(
          "1 second",
          Effect.logWarning("Stops are not limited: the rate limiter does not answer")
        )
      ),
    isWaiting: (actor, target) =>
      Effect.map(
        Clock.currentTimeMillis,
        (now) => (waiting.get(keyOf(actor, target))?.until ?? 0) > now
      ),
    wait: (actor, target, askedAt) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        for (const [key, { until }] of waiting) {
          // In the order of their ends, since all wait equally long.
          if (until > now && waiting.size < most) break
          waiting.delete(key)
        }
        const key = keyOf(actor, target)
        const before = waiting.get(key)
        if (before?.askedAt === askedAt) return true
        waiting.delete(key)
        waiting.set(key, { askedAt, until: now + remembered })
        return false
      })
  }
}

/** In milliseconds: as long as a stop waits for its run by default. */
const remembered = 30_000
const most = 10_000

const tooMany = (retryAfter: Duration.Duration) => {
  const seconds = Math.max(1, Math.ceil(Duration.toSeconds(retryAfter)))
  return new RateLimited({
    detail: `You have stopped too many messages; again in ${seconds} s.`,
    retryAfter: seconds
  })
}

// No id has a NUL.
const keyOf = ({ companyId, userId }: Person, target?: StopTarget): string => {
  const actor = `${companyId ?? defaultTenant}\0${userId}`
  if (target === undefined) return actor
  switch (target._tag) {
    case "Chat":
      return `${actor}\0\0${target.chatId}`
    case "Message":
      return `${actor}\0\0${messageKey(target.ref)}`
    case "Run":
      return `${actor}\0\0${runKey(target.run)}`
  }
}
