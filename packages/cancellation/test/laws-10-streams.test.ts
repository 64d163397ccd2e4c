/** Laws 4 and 10, where a stream's reader gives up a pull, or is busy when the stop comes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { CancellationMetrics } from "../src/index.ts"
import { exitOf, forkNow, inLab, openKnown, settle } from "./fixture-1.ts"

const abandoned = Effect.map(Metric.value(CancellationMetrics.abandonedWork), ({ value }) => value)

/** A source whose pulls never end by themselves; each takes its time to end, but for the first. */
const slowToEnd = (millis: number) => {
  const state = { pulls: 0, finalized: 0 }
  const source = Stream.fromPull(
    Effect.succeed(
      Effect.suspend(() => {
        const first = ++state.pulls === 1
        return Effect.never.pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(
              Effect.sleep(first ? 0 : millis),
              Effect.sync(() => {
                state.finalized++
              })
            )
          )
        )
      })
    )
  )
  return { source, state }
}

describe("Law 10: A reader that gave up one pull and asks for the next", () => {
  const reading = Effect.fnUntraced(function* (millis: number) {
    const { watcher } = yield* openKnown()
    const { source, state } = slowToEnd(millis)
    const pull = yield* Stream.toPull(
      watcher.streamWithCancellation(source, { gracePeriod: "1 second" })
    )
    const given = yield* forkNow(Effect.timeoutOption(pull, "20 millis"))
    yield* TestClock.adjust("20 millis")
    yield* Fiber.join(given)
    assert.deepStrictEqual(state, { pulls: 1, finalized: 1 })
    const reader = yield* forkNow(Effect.exit(pull))
    assert.strictEqual(state.pulls, 2)
    yield* watcher.cancel("user")
    yield* settle
    return { reader, state }
  })

  it.effect("waits for the finalizers of that pull", () =>
    Effect.gen(function* () {
      const { reader, state } = yield* reading(200)
      yield* TestClock.adjust("199 millis")
      assert.deepStrictEqual([yield* exitOf(reader), state.finalized], ["running", 1])
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* exitOf(reader), "running")
      assert.deepStrictEqual([state.finalized, yield* abandoned], [2, 0])
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("gives it up after the grace period, and counts it until it ends", () =>
    Effect.gen(function* () {
      const { reader, state } = yield* reading(5000)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* exitOf(reader), "running")
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* exitOf(reader), "running")
      assert.deepStrictEqual([state.finalized, yield* abandoned], [1, 1])
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual([state.finalized, yield* abandoned], [2, 0])
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("gets what the source has next", () =>
    Effect.gen(function* () {
      const { watcher } = yield* openKnown()
      const pull = yield* Stream.toPull(
        watcher.streamWithCancellation(Stream.tick("1 second").pipe(Stream.drop(1)), {
          gracePeriod: "1 second"
        })
      )
      for (let n = 0; n < 3; n++) {
        const given = yield* forkNow(Effect.exit(Effect.timeoutOption(pull, "100 millis")))
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(given)
      }
      const next = yield* forkNow(Effect.exit(pull))
      yield* TestClock.adjust("2 seconds")
      assert.notStrictEqual(yield* exitOf(next), "running")
    }).pipe(Effect.scoped, inLab())
  )
})

describe("Law 4: A stop while the reader is busy", () => {
  for (const gracePeriod of [undefined, "1 second"] as const) {
    it.effect(`closes the source at once, with the grace period ${gracePeriod ?? "unset"}`, () =>
      Effect.gen(function* () {
        const { watcher } = yield* openKnown()
        const state = { produced: 0, closed: 0 }
        const source = Stream.fromSchedule(Schedule.spaced("10 millis")).pipe(
          Stream.tap(() =>
            Effect.sync(() => {
              state.produced++
            })
          ),
          Stream.ensuring(
            Effect.sync(() => {
              state.closed++
            })
          ),
          Stream.buffer({ capacity: "unbounded" })
        )
        const reader = yield* forkNow(
          source.pipe(
            watcher.streamWithCancellation(gracePeriod === undefined ? {} : { gracePeriod }),
            Stream.runForEach(() => Effect.sleep("1 minute"))
          )
        )
        yield* TestClock.adjust("1 second")
        assert.isAbove(state.produced, 50)
        yield* watcher.cancel("user")
        yield* settle
        const { produced } = state
        assert.strictEqual(state.closed, 1)
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual([yield* exitOf(reader), state.produced], ["running", produced])
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(yield* exitOf(reader))
        assert.strictEqual(state.closed, 1)
      }).pipe(inLab())
    )
  }
})

describe("Law 8: A stream whose fibers pause after any number of operations", () => {
  it.effect("brings all that its source brings", () =>
    Effect.gen(function* () {
      const stuck: Array<number> = []
      for (let budget = 3; budget <= 60; budget++) {
        const reader = yield* Effect.gen(function* () {
          const { watcher } = yield* openKnown({ name: `stream-${budget}` })
          return yield* forkNow(
            Stream.range(1, 40).pipe(
              Stream.rechunk(1),
              Stream.tap(() => Effect.yieldNow),
              watcher.streamWithCancellation(),
              Stream.runCollect
            )
          )
        }).pipe(Effect.provideService(References.MaxOpsBeforeYield, budget))
        // The smaller the budget, the more turns it takes.
        for (let turn = 0; turn < 100; turn++) yield* settle
        if ((yield* exitOf(reader)) === "running") stuck.push(budget)
      }
      assert.deepStrictEqual(stuck, [])
    }).pipe(inLab())
  )
})
