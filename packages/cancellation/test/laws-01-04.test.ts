import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Fault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import {
  collect,
  detections,
  exitOf,
  forkNow,
  hintOf,
  inLab,
  looks,
  makeWork,
  openKnown,
  register,
  stopElsewhere,
  ways,
  wayNames
} from "./fixture-1.ts"

describe("Law 1: Sticky", () => {
  for (const way of wayNames) {
    it.effect(`once cancelled by ${way}, a run stays cancelled whatever the store says later`, () =>
      Effect.gen(function* () {
        const { store } = yield* StoreFaults
        const opened = yield* openKnown()
        const { watcher } = opened
        yield* ways[way](opened)
        const event = yield* watcher.cancellation
        yield* store.forget({ _tag: "Chat", chatId: opened.run.ref.chatId })
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* watcher.isCancelled)
        assert.isTrue(yield* watcher.check)
        assert.strictEqual(yield* watcher.cancellation, event)
      }).pipe(inLab())
    )

    it.effect(`the store is not read for a run once it is cancelled by ${way}`, () =>
      Effect.gen(function* () {
        const signal = yield* SignalFaults
        const opened = yield* openKnown()
        yield* ways[way](opened)
        assert.isTrue(yield* opened.watcher.isCancelled)
        const before = yield* looks
        yield* opened.watcher.check
        yield* hintOf(opened.run)
        yield* signal.reconnected
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* looks, before)
      }).pipe(inLab())
    )
  }

  it.effect("a look in chunks that is under way leaves out what was cancelled meanwhile", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* openKnown({ name: "first" })
      const second = yield* openKnown({ name: "second" })
      yield* faults.set({ reads: Fault.slow("1 second") })
      yield* TestClock.adjust("2 seconds")
      yield* faults.begun("stopRequests", 1)
      yield* second.watcher.cancel("deadline")
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* looks, 1)
    }).pipe(inLab({ chunkSize: 1 }))
  )

  it.effect("the other runs of the process are still read", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const first = yield* openKnown({ name: "first" })
      yield* openKnown({ name: "second" })
      yield* first.watcher.cancel("deadline")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* faults.counts).stopRequests.rows, [1])
    }).pipe(inLab())
  )
})

describe("Law 2: Once", () => {
  it.effect("checks, a poll and hints that all see the stop make one event", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run, watcher } = yield* openKnown()
      const { seen } = yield* collect(watcher)
      let handled = 0
      yield* watcher.onCancellation(() => Effect.sync(() => handled++))
      yield* faults.set({ reads: Fault.slow("1 second") })
      yield* stopElsewhere(run)
      yield* TestClock.adjust("1900 millis")
      const checks = yield* forkNow(
        Effect.all([watcher.check, watcher.check, watcher.check], { concurrency: 3 })
      )
      yield* hintOf(run)
      yield* hintOf(run)
      yield* TestClock.adjust("100 millis")
      // three checks, a tick and a look after the hints: all are on their way now
      assert.strictEqual((yield* faults.counts).stopRequests.inFlight, 5)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(checks), [true, true, true])
      assert.strictEqual(seen.length, 1)
      assert.strictEqual(handled, 1)
      assert.deepStrictEqual(yield* detections, { check: 1 })
    }).pipe(inLab())
  )

  it.effect("a store that answers every stop twice makes one event", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run, watcher } = yield* openKnown()
      const { seen } = yield* collect(watcher)
      let handled = 0
      yield* watcher.onCancellation(() => Effect.sync(() => handled++))
      yield* faults.set({ reads: Fault.nonsense })
      yield* stopElsewhere(run)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([seen.length, handled], [1, 1])
      assert.deepStrictEqual(yield* detections, { poll: 1 })
    }).pipe(inLab())
  )

  it.effect("of several reasons to cancel the first one stands", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      const { seen } = yield* collect(watcher)
      let handled = 0
      yield* watcher.onCancellation(() => Effect.sync(() => handled++))
      yield* Effect.all([watcher.cancel("deadline"), watcher.cancel("parent")], { concurrency: 2 })
      yield* stopElsewhere(run)
      yield* watcher.check
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(
        seen.map(({ request }) => request.reason),
        ["deadline"]
      )
      const late = yield* collect(watcher)
      assert.deepStrictEqual(late.seen, seen)
      assert.strictEqual(handled, 1)
      assert.deepStrictEqual(yield* detections, { local: 1 })
    }).pipe(inLab())
  )

  it.effect("two watchers of one run each have one event and one call of each handler", () =>
    Effect.gen(function* () {
      const a = yield* openKnown()
      const b = yield* openKnown()
      let handled = 0
      for (const { watcher } of [a, b]) {
        yield* watcher.onCancellation(() => Effect.sync(() => handled++))
      }
      const [first, second] = [yield* collect(a.watcher), yield* collect(b.watcher)]
      yield* stopElsewhere(a.run)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([first.seen.length, second.seen.length, handled], [1, 1, 2])
    }).pipe(inLab())
  )
})

describe("Law 3: Late", () => {
  it.effect("a subscriber that comes late gets the event, and its stream ends", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* ways.poll(opened)
      const first = yield* collect(opened.watcher)
      yield* opened.close()
      const second = yield* collect(opened.watcher)
      const event = yield* opened.watcher.cancellation
      assert.deepStrictEqual(first.seen, [event])
      assert.deepStrictEqual(second.seen, [event])
      yield* Fiber.join(first.fiber)
      yield* Fiber.join(second.fiber)
    }).pipe(inLab())
  )

  it.effect("subscribers that came early all get the event, and their streams end", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const all = [yield* collect(opened.watcher), yield* collect(opened.watcher)]
      yield* ways.hint(opened)
      for (const { fiber, seen } of all) {
        yield* Fiber.join(fiber)
        assert.strictEqual(seen.length, 1)
      }
    }).pipe(inLab())
  )

  it.effect("a handler registered late runs at once", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* ways.poll(opened)
      let handled = 0
      yield* opened.watcher.onCancellation(() => Effect.sync(() => handled++))
      assert.strictEqual(handled, 1)
    }).pipe(inLab())
  )

  it.effect("a handler registered by a handler runs at once", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const order: Array<string> = []
      const { watcher } = opened
      const scope = yield* Effect.scope
      yield* watcher.onCancellation(() =>
        watcher
          .onCancellation(() => Effect.sync(() => order.push("inner")))
          .pipe(
            Effect.andThen(Effect.sync(() => order.push("outer"))),
            Effect.provideService(Scope.Scope, scope)
          )
      )
      yield* ways.poll(opened)
      assert.deepStrictEqual(order, ["inner", "outer"])
    }).pipe(inLab())
  )

  it.effect("who asks late for the event, the flag or the signal has them at once", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* ways.poll(opened)
      const event = yield* opened.watcher.cancellation
      const signal = yield* opened.watcher.abortSignal
      assert.isTrue(signal.aborted)
      assert.strictEqual(signal.reason.cause, event)
      assert.strictEqual(signal.reason.name, "AbortError")
      assert.isTrue(yield* opened.watcher.isCancelled)
    }).pipe(inLab())
  )

  it.effect(
    "without a stop the events end with the run, for who was there and who comes late",
    () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const early = yield* collect(opened.watcher)
        yield* opened.close()
        const late = yield* collect(opened.watcher)
        yield* Fiber.join(early.fiber)
        yield* Fiber.join(late.fiber)
        assert.deepStrictEqual([...early.seen, ...late.seen], [])
      }).pipe(inLab())
  )

  it.effect("a subscriber that never takes its event delays neither the others nor the end", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const { watcher } = opened
      const slow = yield* forkNow(Stream.runForEach(watcher.events, () => Effect.never))
      // subscribed, but not pulling: its place in the buffer stays taken
      const idle = yield* Stream.toPull(watcher.events)
      assert.isDefined(idle)
      const quick = yield* collect(watcher)
      const { state, work } = yield* makeWork
      const worker = yield* forkNow(
        watcher.runWithCancellation(work, { cancelResult: "cancelled" })
      )
      yield* ways.poll(opened)
      assert.strictEqual(yield* exitOf(worker), "cancelled")
      assert.strictEqual(state.interrupted, 1)
      assert.strictEqual(quick.seen.length, 1)
      const closing = yield* forkNow(opened.close())
      assert.strictEqual(yield* exitOf(closing), undefined)
      yield* Fiber.interrupt(slow)
    }).pipe(inLab())
  )
})

describe("Law 4: Interrupt first", () => {
  const handlers: Record<string, Effect.Effect<unknown, string>> = {
    slow: Effect.sleep("1 minute"),
    hanging: Effect.never,
    "hanging and uninterruptible": Effect.uninterruptible(Effect.never),
    failing: Effect.fail("no"),
    dying: Effect.die("no")
  }

  for (const [kind, handler] of Object.entries(handlers)) {
    for (const way of wayNames) {
      it.effect(
        `a ${kind} handler does not delay the interrupt of work found stopped by ${way}`,
        () =>
          Effect.gen(function* () {
            const opened = yield* openKnown()
            const { watcher } = opened
            const order: Array<string> = []
            yield* register(watcher, () =>
              Effect.andThen(
                Effect.sync(() => order.push("handler")),
                handler
              )
            )
            const worker = yield* forkNow(
              Effect.never.pipe(
                Effect.onInterrupt(() => Effect.sync(() => order.push("work"))),
                watcher.runWithCancellation({ cancelResult: "cancelled" })
              )
            )
            const since = yield* Clock.currentTimeMillis
            yield* ways[way](opened)
            assert.strictEqual(yield* exitOf(worker), "cancelled")
            assert.deepStrictEqual(order, ["work", "handler"])
            const { detectedAt } = yield* watcher.cancellation
            assert.strictEqual(detectedAt, yield* Clock.currentTimeMillis)
            assert.isAtMost(detectedAt - since, 2000)
          }).pipe(inLab())
      )
    }
  }

  it.effect("a handler does not delay the end of a stream either", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const { watcher } = opened
      yield* register(watcher, () => Effect.never)
      const reader = yield* forkNow(
        Stream.concat(Stream.make(1, 2), Stream.never).pipe(
          watcher.streamWithCancellation(),
          Stream.runCollect
        )
      )
      yield* ways.poll(opened)
      assert.deepStrictEqual(yield* exitOf(reader), [1, 2])
    }).pipe(inLab())
  )

  it.effect("the handlers of one run do not delay the detection of others", () =>
    Effect.gen(function* () {
      const first = yield* openKnown({ name: "first" })
      const second = yield* openKnown({ name: "second" })
      yield* register(first.watcher, () => Effect.never)
      yield* stopElsewhere(first.run)
      yield* stopElsewhere(second.run)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* second.watcher.isCancelled)
    }).pipe(inLab())
  )
})
