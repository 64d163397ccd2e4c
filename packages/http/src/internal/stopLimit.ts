/**
 * How many new stops an actor may ask. Repeating one is free: a person whose page has lost its
 * connection presses Stop again and again, and must never be told to wait.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  defaultTenant,
  messageKey,
  runKey,
  type StopReceipt,
  type StopTarget
} from "effect-cancellation"
import type { RateLimiter } from "effect/persistence"
import type { Actor } from "../CurrentActor.ts"
import { RateLimited } from "../Problem.ts"
import { within } from "./within.ts"

type Person = Actor["Service"]
type Pending = Extract<StopReceipt, { readonly _tag: "Pending" }>

export interface StopLimit {
  /** Takes one of the actor's stops, unless the same was asked a moment ago; refused if none is left. */
  readonly spend: (actor: Person, target: StopTarget) => Effect.Effect<void, RateLimited>
  /** Remembers a stop that waits for its run; answers whether it was the same one before. */
  readonly wait: (actor: Person, target: StopTarget, pending: Pending) => Effect.Effect<boolean>
}

interface Asked {
  readonly until: number
  /** Of a stop that waits for its run: when it was asked, by the store. */
  readonly waitsSince: number | undefined
}

export const makeStopLimit = (options: {
  readonly limiter: RateLimiter.RateLimiter
  /** Whether other processes count with the same limiter. */
  readonly isShared: boolean
  readonly limit: number
  readonly window: Duration.Duration
}): StopLimit => {
  const { isShared, limit, limiter, window } = options
  const asked = new Map<string, Asked>()

  const remember = (key: string, now: number, entry: Asked) => {
    for (const [old, { until }] of asked) {
      // In the order in which they were asked: one that waits for longer may keep others a while.
      if (until > now && asked.size < most) break
      asked.delete(old)
    }
    asked.delete(key)
    asked.set(key, entry)
  }

  // What another process was asked, if it counts with us: that it was, and no number of times.
  const elsewhere = (key: string, tokens: 0 | 1) =>
    isShared
      ? limiter.consume({ key: `asked:${key}`, limit: 1, window: remembered, tokens })
      : Effect.succeed({ remaining: 1 })

  const pay = Effect.fnUntraced(function* (actor: Person, key: string) {
    const { remaining } = yield* elsewhere(key, 0)
    if (remaining === 0) return
    yield* limiter.consume({ key: `stop:${keyOf(actor)}`, limit, window, onExceeded: "fail" })
    yield* Effect.ignore(elsewhere(key, 1))
  })

  return {
    spend: Effect.fnUntraced(function* (actor, target) {
      const key = keyOf(actor, target)
      const now = yield* Clock.currentTimeMillis
      if ((asked.get(key)?.until ?? 0) > now) return
      // Before it is paid and stored: the second click of a double click must find it.
      remember(key, now, { until: now + remembered, waitsSince: undefined })
      yield* pay(actor, key).pipe(
        Effect.catch(({ reason }) =>
          reason._tag === "RateLimitExceeded"
            ? Effect.andThen(
                Effect.sync(() => asked.delete(key)),
                Effect.fail(tooMany(reason.retryAfter))
              )
            : // A stop matters more than its count.
              Effect.logWarning("Stops are not limited: the store of the rate limiter has failed")
        ),
        within(
          "1 second",
          Effect.logWarning("Stops are not limited: the rate limiter does not answer")
        )
      )
    }),
    wait: (actor, target, { expiresAt, request }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const key = keyOf(actor, target)
        const waitsSince = request.userAbortedAt
        const before = asked.get(key)
        remember(key, now, { until: now + Math.max(0, expiresAt - waitsSince), waitsSince })
        return before?.waitsSince === waitsSince
      })
  }
}

/** In milliseconds. */
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
