import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { openStops, pathsOf, runOf } from "./support/stops.ts"

const rateLimit = { limit: 2, window: "1 hour" } as const

const runs = ["a", "b", "c"].map((chatId) => runOf({ chatId }))

const press = (stops: Effect.Success<ReturnType<typeof openStops>>) =>
  Effect.forEach(runs, (run) =>
    Effect.map(stops.send("POST", pathsOf(run).stop, { as: "ada" }), ({ status }) => status)
  )

describe("the limit of new stops", () => {
  it.live("is counted by the rate limiter of the context, for all who share it", () =>
    Effect.gen(function* () {
      const limiter = yield* Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)
      const shared = Layer.succeed(RateLimiter.RateLimiter, limiter)
      const one = yield* openStops({ rateLimit, limiter: shared })
      const other = yield* openStops({ rateLimit, limiter: shared })
      for (const stops of [one, other]) yield* stops.start(...runs)
      assert.deepStrictEqual(yield* press(one), [202, 202, 429])
      assert.deepStrictEqual(yield* press(other), [429, 429, 429])
    }).pipe(Effect.scoped)
  )

  it.live("is each server's own by default", () =>
    Effect.gen(function* () {
      for (let server = 0; server < 2; server++) {
        const stops = yield* openStops({ rateLimit })
        yield* stops.start(...runs)
        assert.deepStrictEqual(yield* press(stops), [202, 202, 429])
      }
    }).pipe(Effect.scoped)
  )

  const broken = (consume: RateLimiter.RateLimiter["consume"]) =>
    Effect.map(Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory), (limiter) =>
      Layer.succeed(RateLimiter.RateLimiter, { ...limiter, consume })
    )

  it.live("lets stops through while its store has failed", () =>
    Effect.gen(function* () {
      const limiter = yield* broken(() =>
        Effect.fail(
          new RateLimiter.RateLimiterError({
            reason: new RateLimiter.RateLimitStoreError({ message: "away", cause: "away" })
          })
        )
      )
      const stops = yield* openStops({ rateLimit, limiter })
      yield* stops.start(...runs)
      assert.deepStrictEqual(yield* press(stops), [202, 202, 202])
    }).pipe(Effect.scoped)
  )

  it.effect("lets a stop through after a second if its store hangs", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const reached = yield* Deferred.make<void>()
      const limiter = yield* broken(() =>
        Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
      )
      const stops = yield* openStops({ rateLimit, limiter }, () =>
        Layer.succeed(Clock.Clock, clock)
      )
      const run = runOf()
      yield* stops.start(run)
      const asking = yield* Effect.forkChild(stops.send("POST", pathsOf(run).stop, { as: "ada" }))
      yield* Deferred.await(reached)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asking)).status, 202)
      assert.isDefined((yield* stops.record(run))?.request)
    }).pipe(Effect.scoped)
  )
})
