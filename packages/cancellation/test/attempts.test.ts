/** Law 12: calls that hang and resist their interrupt are counted, two at most. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { makeAttempts } from "../src/internal/attempts.ts"
import { forkNow, settle } from "./fixture-1.ts"
import { failuresOf, pausing, takeTurns } from "./pauses.ts"

describe("Law 12: Calls that resist their interrupt", () => {
  it.effect("make room for one more each as they end, and not for all", () =>
    Effect.gen(function* () {
      const attempts = makeAttempts(Duration.seconds(5))
      let made = 0
      const hang = Effect.fnUntraced(function* () {
        const end = yield* Deferred.make<void>()
        const call = Effect.suspend(() => {
          made++
          return Effect.uninterruptible(Deferred.await(end))
        })
        const attempt = yield* forkNow(attempts.make("stopRequests", call))
        yield* TestClock.adjust("5 seconds")
        assert.isTrue(Exit.isSuccess(attempt.pollUnsafe() ?? Exit.die("it waits for the call")))
        return end
      })
      const first = yield* hang()
      const second = yield* hang()
      assert.strictEqual(made, 2)
      yield* hang()
      assert.strictEqual(made, 2)

      yield* Deferred.succeed(first, undefined)
      yield* settle
      const third = yield* hang()
      assert.strictEqual(made, 3)
      yield* hang()
      assert.strictEqual(made, 3)

      // Of another operation none is left over.
      yield* attempts.make(
        "findRuns",
        Effect.sync(() => void made++)
      )
      assert.strictEqual(made, 4)
      for (const end of [second, third]) yield* Deferred.succeed(end, undefined)
    })
  )
})

describe("Law 12: A call whose caller is interrupted", () => {
  let alive = 0
  const counted = Effect.provideService(Metric.FiberRuntimeMetrics, {
    recordFiberStart: () => void alive++,
    recordFiberEnd: () => void alive--
  })

  it.effect("by the call itself is left, and its timer with it", () =>
    Effect.gen(function* () {
      alive = 0
      const attempts = makeAttempts(Duration.seconds(5))
      const own: { caller?: Fiber.Fiber<unknown, unknown> } = {}
      const call = Effect.suspend(() => {
        own.caller?.interruptUnsafe()
        return Effect.never
      })
      const attempt = Effect.andThen(Effect.yieldNow, attempts.make("stopRequests", call))
      own.caller = yield* Effect.forkChild(attempt).pipe(counted)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(own.caller)))
      yield* settle
      assert.strictEqual(alive, 0)
    })
  )

  it.live("is left, wherever the caller pauses", () =>
    Effect.gen(function* () {
      const running = yield* failuresOf((pause) =>
        Effect.gen(function* () {
          let calls = 0
          const call = Effect.suspend(() => {
            calls++
            return Effect.never
          }).pipe(Effect.ensuring(Effect.sync(() => void calls--)))
          const attempt = makeAttempts(Duration.seconds(5)).make("stopRequests", call)
          const caller = yield* Effect.forkDetach(pausing(pause)(attempt))
          yield* takeTurns(pause)
          yield* Fiber.interrupt(caller)
          yield* Effect.yieldNow
          return calls === 0
        })
      )
      assert.deepStrictEqual(running, [])
    })
  )

  it.effect("has its timer taken down, though who waits for the caller throws", () =>
    Effect.gen(function* () {
      alive = 0
      const end = yield* Deferred.make<void>()
      const attempt = makeAttempts(Duration.seconds(5)).make("stopRequests", Deferred.await(end))
      const caller = yield* Effect.forkDetach(attempt).pipe(counted)
      caller.addObserver(() => {
        throw new Error("the application's own")
      })
      yield* settle
      assert.throws(() => Deferred.doneUnsafe(end, Effect.void), "the application's own")
      yield* settle
      assert.isDefined(caller.pollUnsafe())
      assert.strictEqual(alive, 0)
    })
  )
})
