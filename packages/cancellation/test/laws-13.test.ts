import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { Fault, SignalFault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  ChatId,
  MessageRepo,
  Run,
  RunId,
  StopIntent,
  StopTarget
} from "../src/index.ts"
import {
  collect,
  exitOf,
  Eyes,
  forkNow,
  hintOf,
  inLab,
  linesAt,
  looks,
  makeWork,
  open,
  openKnown,
  refOf,
  settle,
  stopElsewhere,
  ways
} from "./fixture-1.ts"

const intent = StopIntent.make({ reason: "user" })
const stopOf = (run: Run) =>
  MessageRepo.use((repo) => repo.requestStop(StopTarget.cases.Run.make({ run }), intent))

describe("Law 13: Hints are only hints", () => {
  it.effect("a stop asked here is found at once, with no tick and no signal", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      yield* signal.set({ hints: SignalFault.drop, publish: SignalFault.fail })
      const { run, watcher } = yield* openKnown()
      yield* stopOf(run)
      yield* settle
      assert.strictEqual((yield* watcher.cancellation).detectedBy, "hint")
    }).pipe(inLab())
  )

  it.effect("a hint that is lost costs nothing but time: the next poll finds the stop", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      yield* stopElsewhere(run)
      yield* TestClock.adjust("1999 millis")
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* watcher.cancellation).detectedBy, "poll")
    }).pipe(inLab())
  )

  it.effect("a false hint makes looks, and no stop", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      const { seen } = yield* collect(watcher)
      yield* hintOf(run)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
      assert.deepStrictEqual(seen, [])
    }).pipe(inLab())
  )

  it.effect("hints that come twice, or late, make no second event and no further look", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const { seen } = yield* collect(opened.watcher)
      yield* stopElsewhere(opened.run)
      yield* hintOf(opened.run)
      const after = yield* looks
      yield* hintOf(opened.run)
      yield* TestClock.adjust("1 minute")
      yield* hintOf(opened.run)
      assert.deepStrictEqual([seen.length, after, yield* looks], [1, 1, 1])
    }).pipe(inLab())
  )

  it.effect("a hint is found by its look without waiting for a tick", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const before = yield* Clock.currentTimeMillis
      yield* ways.hint(opened)
      assert.strictEqual((yield* opened.watcher.cancellation).detectedAt, before)
    }).pipe(inLab())
  )

  it.effect("after Reconnected there is one look at everything at once", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const signal = yield* SignalFaults
      const a = yield* openKnown({ name: "a" })
      const b = yield* openKnown({ name: "b" })
      yield* stopElsewhere(a.run)
      yield* stopElsewhere(b.run)
      yield* signal.reconnected
      yield* settle
      assert.deepStrictEqual((yield* faults.counts).stopRequests.rows, [2])
      assert.isTrue((yield* a.watcher.isCancelled) && (yield* b.watcher.isCancelled))
    }).pipe(inLab())
  )

  it.effect("one look is in flight, and the hints that come meanwhile share the next", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const runs = []
      for (const name of ["a", "b", "c", "d"]) {
        runs.push((yield* openKnown({ name, pollInterval: "1 hour" })).run)
      }
      yield* faults.set({ reads: Fault.slow("10 millis") })
      for (const run of runs) yield* hintOf(run)
      for (const run of runs) yield* hintOf(run)
      yield* TestClock.adjust("50 millis")
      const { maxInFlight, rows } = (yield* faults.counts).stopRequests
      assert.deepStrictEqual([maxInFlight, rows], [1, [1, 4]])
    }).pipe(inLab())
  )

  it.effect("a look after a hint does not wait for a tick that hangs", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const opened = yield* openKnown()
      yield* faults.set({ reads: Fault.flapping(Fault.hang, Fault.healthy) })
      yield* TestClock.adjust("2 seconds")
      yield* faults.begun("stopRequests", 1)
      yield* ways.hint(opened)
      assert.isTrue(yield* opened.watcher.isCancelled)
    }).pipe(inLab())
  )

  it.effect("a hint for a run that is not watched here costs no query", () =>
    Effect.gen(function* () {
      yield* openKnown({ pollInterval: "1 hour" })
      yield* hintOf(Run.make({ ref: refOf("another"), runId: RunId.make("another-run") }))
      yield* hintOf(Run.make({ ref: refOf("message"), runId: RunId.make("another-run") }))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* looks, 0)
    }).pipe(inLab())
  )

  it.effect("a look that finds nothing after a hint is repeated after 100 and 500 ms", () =>
    Effect.gen(function* () {
      const { run } = yield* openKnown({ pollInterval: "1 hour" })
      yield* hintOf(run)
      const after: Array<number> = [yield* looks]
      for (const pause of [99, 1, 399, 1, 60_000]) {
        yield* TestClock.adjust(pause)
        after.push(yield* looks)
      }
      assert.deepStrictEqual(after, [1, 1, 2, 2, 3, 3])
    }).pipe(inLab())
  )

  for (const [late, at] of [
    [50, 100],
    [300, 500]
  ] as const) {
    it.effect(`a stop that can be read ${late} ms after its hint is found after ${at} ms`, () =>
      Effect.gen(function* () {
        const { run, watcher } = yield* openKnown({ pollInterval: "1 hour" })
        yield* hintOf(run)
        yield* TestClock.adjust(late)
        yield* stopElsewhere(run)
        yield* TestClock.adjust(at - late - 1)
        assert.isFalse(yield* watcher.isCancelled)
        yield* TestClock.adjust(1)
        assert.isTrue(yield* watcher.isCancelled)
      }).pipe(inLab())
    )
  }

  for (const end of ["disconnect", "crash"] as const) {
    it.effect(
      `a signal that ends by ${end} is subscribed to again, and everything is looked at`,
      () =>
        Effect.gen(function* () {
          const signal = yield* SignalFaults
          const { run, watcher } = yield* openKnown({ pollInterval: "1 hour" })
          yield* signal[end]
          yield* stopElsewhere(run)
          yield* TestClock.adjust("100 millis")
          yield* signal.begun("subscribe", 2)
          yield* settle
          assert.strictEqual((yield* watcher.cancellation).detectedBy, "hint")
          const next = yield* openKnown({ name: "next", pollInterval: "1 hour" })
          yield* ways.hint(next)
          assert.isTrue(yield* next.watcher.isCancelled)
        }).pipe(inLab())
    )
  }

  it.effect("a signal that is down is tried again ever more rarely, and no poll suffers", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      yield* signal.set({ hints: SignalFault.down })
      yield* signal.disconnect
      const { run, watcher } = yield* openKnown()
      yield* stopElsewhere(run)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* watcher.isCancelled)
      yield* TestClock.adjust("10 minutes")
      assert.isAtMost((yield* signal.counts).subscribe.calls, 130)
    }).pipe(inLab())
  )

  for (const fault of ["fail", "die", "hang"] as const) {
    for (const count of [1, 3]) {
      it.effect(
        `publishing that has the fault ${fault} delays the answer for ${count} runs by at most 1 s`,
        () =>
          Effect.gen(function* () {
            const signal = yield* SignalFaults
            const repo = yield* MessageRepo
            yield* signal.set({ publish: SignalFault[fault] })
            for (let n = 0; n < count; n++) yield* openKnown({ name: `message-${n}` })
            const answer = yield* forkNow(
              Effect.map(
                repo.requestStop(
                  StopTarget.cases.Chat.make({ chatId: ChatId.make("chat") }),
                  intent
                ),
                (receipts) => receipts.map(({ _tag }) => _tag)
              )
            )
            yield* TestClock.adjust("1 second")
            assert.deepStrictEqual(
              yield* exitOf(answer),
              Array.from({ length: count }, () => "Requested")
            )
            yield* TestClock.adjust("10 seconds")
            const lines = yield* linesAt("Warn")
            assert.strictEqual(lines.length, count)
            assert.include(lines[0]?.text, "A hint was not published")
          }).pipe(inLab())
      )
    }
  }
})

describe("What an operator sees", () => {
  it.effect("check is synchronous on a store that is", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      const context = yield* Effect.context()
      assert.isFalse(Effect.runSyncWith(context)(watcher.check))
      yield* stopElsewhere(run)
      assert.isTrue(Effect.runSyncWith(context)(watcher.check))
    }).pipe(inLab())
  )

  it.effect("the metrics have the values of what happened", () =>
    Effect.gen(function* () {
      const value = Metric.value
      const a = yield* openKnown({ name: "a" })
      const b = yield* openKnown({ name: "b" })
      assert.strictEqual((yield* value(CancellationMetrics.runsWatched)).value, 2)
      yield* TestClock.adjust("1 second")
      yield* stopElsewhere(a.run)
      yield* TestClock.adjust("1 second")
      const toDetection = yield* value(CancellationMetrics.requestToDetection)
      assert.deepStrictEqual([toDetection.count, toDetection.max], [1, 1000])
      assert.strictEqual((yield* value(CancellationMetrics.reads)).count, 1)
      yield* a.close()
      assert.strictEqual((yield* value(CancellationMetrics.runsWatched)).value, 1)
      yield* b.watcher.check
      assert.strictEqual((yield* value(CancellationMetrics.reads)).count, 2)
      yield* b.close()
      assert.strictEqual((yield* value(CancellationMetrics.runsWatched)).value, 0)
      assert.strictEqual((yield* value(CancellationMetrics.failedReads)).count, 0)
      assert.strictEqual((yield* value(CancellationMetrics.lastWritesGivenUp)).count, 0)
    }).pipe(inLab())
  )

  it.effect(
    "looks and detections have spans; check, isCancelled and runWithCancellation have none",
    () =>
      Effect.gen(function* () {
        const { spans } = yield* Eyes
        const opened = yield* openKnown()
        const { watcher } = opened
        yield* watcher.check
        yield* watcher.isCancelled
        yield* watcher.runWithCancellation(Effect.void, { cancelResult: 1 })
        assert.deepStrictEqual(spans, [])
        yield* ways.poll(opened)
        assert.deepStrictEqual(spans.map(({ name }) => name).toSorted(), [
          "CancellationWatcher.detected",
          "MessageRepo.look"
        ])
        const detected = spans.find(({ name }) => name === "CancellationWatcher.detected")
        assert.strictEqual(detected?.attributes.get("effect_cancellation.run_id"), opened.run.runId)
        const next = yield* openKnown({ name: "next" })
        yield* ways.hint(next)
        assert.strictEqual(spans.at(-2)?.attributes.get("effect_cancellation.by"), "hint")
      }).pipe(inLab())
  )

  it.effect(
    "lines about a run carry its run, message and chat ids, and no note is told anywhere",
    () =>
      Effect.gen(function* () {
        const { lines, spans } = yield* Eyes
        const faults = yield* StoreFaults
        const note = "a secret remark"
        const opened = yield* open()
        yield* faults.ended("startRuns", 1)
        yield* stopElsewhere(opened.run, note)
        const { work } = yield* makeWork
        yield* forkNow(
          opened.watcher.runWithCancellation(Effect.uninterruptible(work), {
            cancelResult: 1,
            gracePeriod: 0
          })
        )
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* opened.watcher.cancellation).request.note, note)
        yield* faults.set({ writes: Fault.fail })
        const closing = yield* forkNow(opened.close())
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* exitOf(closing), undefined)
        const about = lines.filter(({ text }) => /Run cancelled|given up; it/.test(text))
        assert.strictEqual(about.length, 2)
        for (const { annotations } of about) {
          assert.strictEqual(annotations["effect_cancellation.run_id"], "message-run")
          assert.strictEqual(annotations["effect_cancellation.message_id"], "message")
          assert.strictEqual(annotations["effect_cancellation.chat_id"], "chat")
        }
        const told = [
          ...lines.flatMap(({ annotations, text }) => [text, ...Object.values(annotations)]),
          ...spans.flatMap(({ attributes, name }) => [name, ...attributes.values()])
        ]
        assert.isFalse(told.some((value) => String(value).includes(note)))
      }).pipe(inLab())
  )
})
