import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  MessageRepo,
  MessageStore,
  MessageStoreError,
  StopIntent,
  StopTarget
} from "../src/index.ts"
import {
  detections,
  exitOf,
  forkNow,
  hintOf,
  inLab,
  linesAt,
  looks,
  makeWork,
  open,
  openKnown,
  recordOf,
  settle,
  stopElsewhere
} from "./fixture-1.ts"

const blind = Effect.map(Metric.value(CancellationMetrics.blindRuns), ({ value }) => value)
const failed = Effect.map(Metric.value(CancellationMetrics.failedReads), ({ count }) => count)
const cancelResult = "cancelled" as const

const outages = {
  fail: Fault.fail,
  die: Fault.die,
  hang: Fault.hang,
  "hang uninterruptibly": Fault.hangUninterruptibly,
  "take too long": Fault.slow("1 minute"),
  "lose their answer": Fault.loseAnswer
}

describe("Law 12: The store may fail", () => {
  for (const [kind, fault] of Object.entries(outages)) {
    it.effect(`reads that ${kind} fail nothing, stop nothing, and hold up no check`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const { watcher } = yield* openKnown()
        const { state, work } = yield* makeWork
        const worker = yield* forkNow(watcher.runWithCancellation(work, { cancelResult }))
        yield* faults.set({ reads: fault })
        const check = yield* forkNow(watcher.check)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* exitOf(check), false)
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual([yield* exitOf(worker), state.interrupted], ["running", 0])
        assert.isFalse(yield* watcher.isCancelled)
        yield* faults.heal
      }).pipe(inLab())
    )

    it.effect(
      `an outage in which reads ${kind} is one warning, one line at its end, and a gauge`,
      () =>
        Effect.gen(function* () {
          const faults = yield* StoreFaults
          yield* openKnown({ name: "first" })
          yield* openKnown({ name: "second" })
          yield* faults.set({ reads: fault })
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual(yield* blind, 2)
          assert.isAtLeast(yield* failed, 2)
          const [warning, ...more] = yield* linesAt("Warn")
          assert.include(warning?.text, "cannot be asked for stops")
          assert.deepStrictEqual([...more, ...(yield* linesAt("Info"))], [])
          yield* faults.heal
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* blind, 0)
          const [line, ...others] = yield* linesAt("Info")
          assert.include(line?.text, "answers again")
          assert.deepStrictEqual([...others, ...(yield* linesAt("Warn")).slice(1)], [])
        }).pipe(inLab())
    )

    it.effect(
      `a stop asked while reads ${kind} is found within an interval and a pollTimeout of recovery`,
      () =>
        Effect.gen(function* () {
          const faults = yield* StoreFaults
          const { run, watcher } = yield* openKnown()
          yield* faults.set({ reads: fault })
          yield* stopElsewhere(run)
          yield* TestClock.adjust("1 minute")
          assert.isFalse(yield* watcher.isCancelled)
          yield* faults.heal
          yield* TestClock.adjust("7 seconds")
          assert.isTrue(yield* watcher.isCancelled)
        }).pipe(inLab())
    )
  }

  for (const [kind, fault] of Object.entries(outages)) {
    it.effect(`a stop that is asked of a store whose calls ${kind} fails with a typed error`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* MessageRepo
        const { run } = yield* openKnown()
        yield* faults.set({ requestStop: fault })
        const asked = yield* forkNow(
          repo.requestStop(StopTarget.cases.Run.make({ run }), StopIntent.make({ reason: "user" }))
        )
        yield* TestClock.adjust("5 seconds")
        assert.instanceOf(yield* exitOf(asked), MessageStoreError)
        yield* faults.heal
      }).pipe(inLab())
    )
  }

  it.effect("the second outage has its own warning and its own line", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* openKnown()
      for (let n = 1; n <= 2; n++) {
        yield* faults.set({ reads: Fault.fail })
        yield* TestClock.adjust("10 seconds")
        yield* faults.heal
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* linesAt("Warn")).length, n)
        assert.strictEqual((yield* linesAt("Info")).length, n)
      }
    }).pipe(inLab())
  )

  it.effect(
    "a run that ends in a hanging read hides neither the end of the outage nor the next one",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const ends = yield* openKnown({ name: "ends" })
        yield* openKnown({ name: "stays" })
        yield* faults.set({ reads: Fault.hang })
        yield* TestClock.adjust("3 seconds")
        yield* ends.close()
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* blind, 1)
        yield* faults.heal
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* blind, 0)
        assert.strictEqual((yield* linesAt("Info")).length, 1)
        yield* faults.set({ reads: Fault.fail })
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* linesAt("Warn")).length, 2)
      }).pipe(inLab())
  )

  it.effect("after pollTimeout a read is interrupted", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* openKnown()
      yield* faults.set({ reads: Fault.hang })
      yield* TestClock.adjust("2999 millis")
      assert.strictEqual((yield* faults.counts).stopRequests.interrupted, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* faults.counts).stopRequests.interrupted, 1)
    }).pipe(inLab({ pollTimeout: "1 second" }))
  )

  it.effect("after pollTimeout a check is not waited for, even if it cannot be interrupted", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { watcher } = yield* openKnown()
      yield* faults.set({ reads: Fault.hangUninterruptibly })
      const check = yield* forkNow(watcher.check)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* exitOf(check), "running")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* exitOf(check), false)
      yield* faults.heal
    }).pipe(inLab({ pollTimeout: "1 second" }))
  )

  it.effect(
    "at most two reads are left behind; then the feed waits, and goes on when one returns",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const { run, watcher } = yield* openKnown()
        yield* faults.set({ reads: Fault.hangUninterruptibly })
        yield* TestClock.adjust("10 minutes")
        const { calls, maxInFlight } = (yield* faults.counts).stopRequests
        assert.deepStrictEqual([calls, maxInFlight], [2, 2])
        const check = yield* forkNow(watcher.check)
        assert.strictEqual(yield* exitOf(check), false)
        yield* hintOf(run)
        assert.strictEqual(yield* looks, 2)
        yield* stopElsewhere(run)
        yield* faults.heal
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* watcher.isCancelled)
      }).pipe(inLab())
  )

  it.effect("a malformed row hides no other row, counts as no stop, and is one warning", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const bad = yield* openKnown({ name: "bad" })
      const good = yield* openKnown({ name: "good" })
      yield* faults.set({ reads: Fault.malformed([bad.run]) })
      yield* stopElsewhere(bad.run)
      yield* stopElsewhere(good.run)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* bad.watcher.isCancelled)
      assert.isTrue(yield* good.watcher.isCancelled)
      assert.strictEqual(yield* blind, 1)
      assert.strictEqual((yield* linesAt("Warn")).length, 1)
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* bad.watcher.isCancelled)
      assert.strictEqual(yield* blind, 0)
    }).pipe(inLab())
  )

  it.effect("a flag that is neither a time nor null is no stop", () =>
    Effect.gen(function* () {
      const { watcher } = yield* open()
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
      assert.strictEqual((yield* linesAt("Warn")).length, 1)
    }).pipe(
      inLab(
        {},
        MessageStore.fromLookup((refs) =>
          Effect.succeed(refs.map((ref) => ({ ref, userAbortedAt: "tomorrow" })))
        )
      )
    )
  )

  it.effect("nonsense rows of runs that nobody asked about stop nothing and warn of nothing", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run, watcher } = yield* openKnown()
      yield* faults.set({ reads: Fault.nonsense })
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
      assert.strictEqual(yield* blind, 0)
      yield* stopElsewhere(run)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* detections, { poll: 1 })
    }).pipe(inLab())
  )

  it.effect(
    "a store that flaps is asked again, and a stop is found by the first read that works",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const { run, watcher } = yield* openKnown()
        yield* faults.set({
          reads: Fault.flapping(Fault.fail, Fault.die, Fault.stale, Fault.healthy)
        })
        yield* stopElsewhere(run)
        yield* TestClock.adjust("7999 millis")
        assert.isFalse(yield* watcher.isCancelled)
        yield* TestClock.adjust("1 millis")
        assert.isTrue(yield* watcher.isCancelled)
      }).pipe(inLab())
  )

  it.effect("maxBlind cancels with the reason unreachable, each run after its own time", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const first = yield* openKnown({ name: "first" })
      yield* faults.set({ reads: Fault.fail })
      yield* TestClock.adjust("10 seconds")
      const second = yield* openKnown({ name: "second" })
      // blind since the tick at 2 seconds
      yield* TestClock.adjust("21999 millis")
      assert.isFalse(yield* first.watcher.isCancelled)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(yield* first.watcher.isCancelled)
      assert.isFalse(yield* second.watcher.isCancelled)
      const event = yield* first.watcher.cancellation
      assert.deepStrictEqual(
        [event.request.reason, event.detectedBy, event.run],
        ["unreachable", "local", first.run]
      )
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(yield* second.watcher.isCancelled)
      yield* first.close()
      assert.strictEqual((yield* recordOf(first.run))?.outcome, "interrupted")
      assert.strictEqual(yield* blind, 0)
    }).pipe(inLab({ maxBlind: "30 seconds" }))
  )

  it.effect("maxBlind cancels all runs that were blind together", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const all = [
        yield* openKnown({ name: "a" }),
        yield* openKnown({ name: "b" }),
        yield* openKnown({ name: "c" })
      ]
      yield* faults.set({ reads: Fault.fail })
      yield* TestClock.adjust("1 minute")
      for (const { watcher } of all) assert.isTrue(yield* watcher.isCancelled)
      assert.deepStrictEqual(yield* detections, { local: 3 })
    }).pipe(inLab({ maxBlind: "30 seconds" }))
  )

  it.effect("a look that succeeds begins the time of maxBlind anew", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { watcher } = yield* openKnown()
      for (let n = 0; n < 5; n++) {
        yield* faults.set({ reads: Fault.fail })
        yield* TestClock.adjust("20 seconds")
        yield* faults.heal
        yield* TestClock.adjust("4 seconds")
      }
      assert.isFalse(yield* watcher.isCancelled)
      yield* settle
    }).pipe(inLab({ maxBlind: "30 seconds" }))
  )

  it.effect("without maxBlind a run may be blind for ever", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { watcher } = yield* openKnown()
      yield* faults.set({ reads: Fault.fail })
      yield* TestClock.adjust("1 hour")
      assert.isFalse(yield* watcher.isCancelled)
    }).pipe(inLab())
  )
})
