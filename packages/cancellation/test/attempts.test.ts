/** Law 12: calls that hang and resist their interrupt are counted, two at most. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { TestClock } from "effect/testing"
import { makeAttempts } from "../src/internal/attempts.ts"
import { forkNow, settle } from "./fixture-1.ts"

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
