/** Law 5, where what is told of the step throws. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import { forkNow, inLab, openKnown, recordOf, register, stopElsewhere } from "./fixture-1.ts"

describe("Law 5: The step of one run", () => {
  it.effect("an observer that throws within it is the program's own uncaught error", () =>
    Effect.gen(function* () {
      const uncaught: Array<unknown> = []
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error))
        ),
        () => Effect.sync(() => process.setUncaughtExceptionCaptureCallback(null))
      )
      const { close, run, watcher } = yield* openKnown({ name: "one" })
      const other = yield* openKnown({ name: "two" })
      const signal = yield* watcher.abortSignal
      let handled = 0
      yield* register(watcher, () => Effect.sync(() => void handled++))
      yield* register(other.watcher, () => Effect.sync(() => void handled++))
      const thrown = new Error("the application's own")
      const waiting = yield* forkNow(watcher.cancellation)
      waiting.addObserver(() => {
        throw thrown
      })
      yield* stopElsewhere(run)
      yield* stopElsewhere(other.run)
      yield* TestClock.adjust("2 seconds")
      const closing = yield* forkNow(Effect.andThen(close(), other.close()))
      yield* TestClock.adjust("1 minute")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve)))
      assert.deepStrictEqual(
        [signal.aborted, handled, closing.pollUnsafe() !== undefined, uncaught],
        [true, 2, true, [thrown]]
      )
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("a logger that throws keeps no other run of the same look from its handlers", () =>
    Effect.gen(function* () {
      const one = yield* openKnown({ name: "one" })
      const two = yield* openKnown({ name: "two" })
      let handled = 0
      yield* register(two.watcher, () => Effect.sync(() => void handled++))
      yield* stopElsewhere(one.run)
      yield* stopElsewhere(two.run)
      yield* TestClock.adjust("2 seconds")
      const closing = yield* forkNow(two.close())
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([handled, closing.pollUnsafe() !== undefined], [1, true])
      assert.strictEqual((yield* recordOf(two.run))?.outcome, "stopped")
    }).pipe(Effect.provide(Logger.layer([throwing])), inLab())
  )
})

const throwing = Logger.make(({ message }) => {
  if (String(message).includes("Run cancelled")) throw new Error("the disk is full")
})
