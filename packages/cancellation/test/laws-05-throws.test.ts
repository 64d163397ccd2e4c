/** Law 5, where what is told of the step throws. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { forkNow, inLab, openKnown, recordOf, register, stopElsewhere } from "./fixture-1.ts"

const uncaughtErrors = Effect.gen(function* () {
  const uncaught: Array<unknown> = []
  yield* Effect.acquireRelease(
    Effect.sync(() => process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error))),
    () => Effect.sync(() => process.setUncaughtExceptionCaptureCallback(null))
  )
  return uncaught
})

const throwsAtItsEnd = (fiber: Fiber.Fiber<unknown, unknown>) =>
  fiber.addObserver(() => {
    throw new Error("the application's own")
  })

describe("Law 5: The step of one run", () => {
  it.effect("an observer that throws within it is the program's own uncaught error", () =>
    Effect.gen(function* () {
      const uncaught = yield* uncaughtErrors
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

  it.effect("an observer that throws keeps nobody else who waits from the event", () =>
    Effect.gen(function* () {
      yield* uncaughtErrors
      const { run, watcher } = yield* openKnown()
      const work = watcher.runWithCancellation(Effect.never, {
        cancelResult: 0,
        gracePeriod: "1 second"
      })
      throwsAtItsEnd(yield* forkNow(watcher.cancellation))
      throwsAtItsEnd(yield* forkNow(work))
      const waiting = [yield* forkNow(watcher.cancellation), yield* forkNow(work)]
      yield* stopElsewhere(run)
      yield* TestClock.adjust("1 minute")
      for (const fiber of waiting) assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.scoped, inLab())
  )

  it.effect(
    "an observer of who reads the events that throws keeps nobody else from being told",
    () =>
      Effect.gen(function* () {
        yield* uncaughtErrors
        const one = yield* openKnown({ name: "one" })
        const two = yield* openKnown({ name: "two" })
        let handled = 0
        const signal = yield* one.watcher.abortSignal
        yield* register(one.watcher, () => Effect.sync(() => void handled++))
        yield* register(two.watcher, () => Effect.sync(() => void handled++))
        throwsAtItsEnd(yield* forkNow(Stream.runDrain(one.watcher.events)))
        yield* stopElsewhere(one.run)
        yield* stopElsewhere(two.run)
        yield* TestClock.adjust("2 seconds")
        const closing = yield* forkNow(Effect.andThen(one.close(), two.close()))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(
          [signal.aborted, handled, closing.pollUnsafe() !== undefined],
          [true, 2, true]
        )
        assert.strictEqual((yield* recordOf(two.run))?.outcome, "stopped")
      }).pipe(Effect.scoped, inLab())
  )
})

const throwing = Logger.make(({ message }) => {
  if (String(message).includes("Run cancelled")) throw new Error("the disk is full")
})
