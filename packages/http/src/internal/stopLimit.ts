/**
 * How many new stops an actor may ask. Repeating one is free: a person whose page has lost its
 * connection presses Stop again and again, and must never be told to wait.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { StopReceipt, StopTarget } from "effect-cancellation"
import type { RateLimiter } from "effect/persistence"
import type { Actor } from "../CurrentActor.ts"
import { RateLimited } from "../Problem.ts"
import { actorKey, targetKey } from "./stopKeys.ts"
import { within } from "./within.ts"

type Person = Actor["Service"]
type Pending = Extract<StopReceipt, { readonly _tag: "Pending" }>

export interface StopLimit {
  /**
   * Takes one of the actor's stops, for all that one press is about, unless some of it was asked a
   * moment ago; refused if none is left.
   */
  readonly spend: (
    actor: Person,
    targets: ReadonlyArray<StopTarget>
  ) => Effect.Effect<void, RateLimited>
  /** Remembers a stop that waits for its run; answers whether it was the same one before. */
  readonly wait: (actor: Person, target: StopTarget, pending: Pending) => Effect.Effect<boolean>
}

interface Asked {
  readonly until: number
  /** Done when it is known whether the actor might. */
  readonly paid: Deferred.Deferred<void, RateLimited>
  /** Of a stop that waits for its run: when it was asked, by the store. */
  readonly waitsSince: number | undefined
}

export const makeStopLimit = (options: {
  readonly limiter: Pick<RateLimiter.RateLimiter, "consume">
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

  const consume = (what: Parameters<RateLimiter.RateLimiter["consume"]>[0]) =>
    limiter.consume(what).pipe(within("1 second", Effect.die(new Error("It does not answer"))))

  // What another process was asked, if it counts with us: that it was, and no number of times.
  const elsewhere = (key: string, tokens: 0 | 1) =>
    consume({ key: `asked:${key}`, limit: 1, window: remembered, tokens })

  const pay = Effect.fnUntraced(function* (actor: Person, keys: ReadonlyArray<string>) {
    const own = { key: `stop:${actorKey(actor)}`, limit, window, onExceeded: "fail" } as const
    const exit = yield* Effect.exit(consume(own))
    const retryAfter = Exit.isFailure(exit) ? retryAfterOf(exit.cause) : undefined
    if (Exit.isFailure(exit) && retryAfter === undefined) {
      // A stop matters more than its count.
      return yield* Effect.logWarning("Stops are not limited: the rate limiter fails", exit.cause)
    }
    if (!isShared) return retryAfter === undefined ? undefined : yield* tooMany(retryAfter)
    if (retryAfter === undefined) {
      return yield* Effect.forEach(keys, (key) => Effect.exit(elsewhere(key, 1)), all)
    }
    const known = yield* Effect.forEach(keys, (key) => Effect.exit(elsewhere(key, 0)), all)
    const isKnown = known.some((exit) => Exit.isSuccess(exit) && exit.value.remaining === 0)
    return isKnown ? undefined : yield* tooMany(retryAfter)
  })

  return {
    spend: Effect.fnUntraced(function* (actor, targets) {
      const keys = targets.map((target) => keyOf(actor, target))
      const now = yield* Clock.currentTimeMillis
      const before = keys.flatMap((key) => asked.get(key) ?? []).find(({ until }) => until > now)
      // The second click of a double click is answered as the first.
      if (before !== undefined) return yield* Deferred.await(before.paid)
      const entry: Asked = {
        until: now + remembered,
        paid: Deferred.makeUnsafe(),
        waitsSince: undefined
      }
      for (const key of keys) remember(key, now, entry)
      return yield* pay(actor, keys).pipe(
        Effect.asVoid,
        Effect.onExit((exit) =>
          Effect.sync(() => {
            for (const key of keys) {
              if (Exit.isFailure(exit) && asked.get(key) === entry) asked.delete(key)
            }
            Deferred.doneUnsafe(entry.paid, exit)
          })
        )
      )
    }),
    wait: (actor, target, { expiresAt, request }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const key = keyOf(actor, target)
        const waitsSince = request.userAbortedAt
        const before = asked.get(key)
        const until = now + Math.max(0, expiresAt - waitsSince)
        remember(key, now, { until, paid: before?.paid ?? done, waitsSince })
        return before?.waitsSince === waitsSince
      })
  }
}

// At once: the stop is stored after it, and a chat may have many runs.
const all = { concurrency: "unbounded" } as const

/** In milliseconds. */
const remembered = 30_000
const most = 10_000

const done = Deferred.makeUnsafe<void, RateLimited>()
Deferred.doneUnsafe(done, Exit.void)

const keyOf = (actor: Person, target: StopTarget): string =>
  `${actorKey(actor)}\0${targetKey(target)}`

const retryAfterOf = (
  cause: Cause.Cause<RateLimiter.RateLimiterError>
): Duration.Duration | undefined => {
  const reason = Result.getOrUndefined(Cause.findError(cause))?.reason
  return reason?._tag === "RateLimitExceeded" ? reason.retryAfter : undefined
}

const tooMany = (retryAfter: Duration.Duration) => {
  const seconds = Math.max(1, Math.ceil(Duration.toSeconds(retryAfter)))
  return new RateLimited({
    detail: `You have stopped too many messages; again in ${seconds} s.`,
    retryAfter: seconds
  })
}
