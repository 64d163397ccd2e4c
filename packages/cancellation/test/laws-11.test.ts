import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { CancellationMetrics } from "../src/index.ts"
import {
  exitOf,
  Eyes,
  forkNow,
  hintOf,
  inLab,
  looks,
  makeWork,
  open,
  openKnown,
  register,
  settle,
  ways,
  wayNames
} from "./fixture-1.ts"

const cancelResult = "cancelled" as const

/** Fibers alive when all that can has gone as far as it can. */
const fibers = Effect.andThen(
  settle,
  Eyes.useSync(({ fibers }) => fibers.alive)
)
const gauge = (metric: typeof CancellationMetrics.runsWatched) =>
  Effect.map(Metric.value(metric), ({ value }) => value)

/** Asserts that the effect leaves no fiber, watches no run, and makes no query for it afterwards. */
const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* fibers
    yield* effect
    assert.strictEqual(yield* fibers, before)
    assert.strictEqual(yield* gauge(CancellationMetrics.runsWatched), 0)
    assert.strictEqual(yield* gauge(CancellationMetrics.blindRuns), 0)
    const calls = yield* looks
    yield* TestClock.adjust("10 minutes")
    assert.strictEqual(yield* looks, calls)
    assert.strictEqual(yield* fibers, before)
  })

describe("Law 11: Nothing leaks", () => {
  it.effect("a run that ends by itself leaves nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { close, watcher } = yield* openKnown()
        const worker = yield* forkNow(
          watcher.runWithCancellation(Effect.sleep("5 seconds"), { cancelResult })
        )
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(worker)
        yield* close()
      })
    ).pipe(inLab())
  )

  for (const way of wayNames) {
    it.effect(`a run stopped by ${way} leaves nothing`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const opened = yield* openKnown()
          const { watcher } = opened
          const events = yield* forkNow(Stream.runDrain(watcher.events))
          yield* register(watcher, () => Effect.void)
          const { work } = yield* makeWork
          const worker = yield* forkNow(
            watcher.runWithCancellation(work, { cancelResult, gracePeriod: 0, pollInterval: 500 })
          )
          const reader = yield* forkNow(
            Stream.runDrain(watcher.streamWithCancellation(Stream.never, { pollInterval: 700 }))
          )
          yield* ways[way](opened)
          yield* Fiber.joinAll([events, worker, reader])
          yield* opened.close()
        })
      ).pipe(inLab())
    )
  }

  it.effect("a stream that ends by itself, fails or is left in the middle leaves nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { close, watcher } = yield* openKnown()
        const through = <A, E>(stream: Stream.Stream<A, E>) =>
          watcher.streamWithCancellation(stream, { pollInterval: 100, gracePeriod: 100 })
        yield* Stream.runDrain(through(Stream.range(1, 10)))
        yield* Effect.exit(Stream.runDrain(through(Stream.fail("no"))))
        yield* Stream.runDrain(Stream.take(through(Stream.range(1, 10)), 2))
        const reader = yield* forkNow(Stream.runDrain(through(Stream.never)))
        yield* Fiber.interrupt(reader)
        yield* close()
      })
    ).pipe(inLab())
  )

  it.effect("a subscriber of a run that is never stopped ends with the run", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { close, watcher } = yield* openKnown()
        const reader = yield* forkNow(Stream.runDrain(watcher.events))
        yield* close()
        yield* Fiber.join(reader)
      })
    ).pipe(inLab())
  )

  it.effect(
    "a run that ends while a look after a hint is still to be repeated leaves nothing",
    () =>
      leavesNothing(
        Effect.gen(function* () {
          const { close, run } = yield* openKnown()
          yield* hintOf(run)
          yield* close()
        })
      ).pipe(inLab())
  )

  it.effect(
    "a run that ends while the look after a hint is under way leaves no look to repeat",
    () =>
      leavesNothing(
        Effect.gen(function* () {
          const faults = yield* StoreFaults
          const { close, run } = yield* openKnown()
          yield* faults.set({ reads: Fault.slow("10 millis") })
          yield* hintOf(run)
          yield* close()
          yield* TestClock.adjust("10 millis")
        })
      ).pipe(inLab())
  )

  it.effect("given-up work is the one fiber that stays, until it ends", () =>
    Effect.gen(function* () {
      const before = yield* fibers
      const opened = yield* openKnown()
      const go = yield* Deferred.make<void>()
      const worker = yield* forkNow(
        opened.watcher.runWithCancellation(Effect.uninterruptible(Deferred.await(go)), {
          cancelResult,
          gracePeriod: 0
        })
      )
      yield* ways.poll(opened)
      assert.strictEqual(yield* exitOf(worker), cancelResult)
      yield* opened.close()
      // the work, and who waits for its end
      assert.strictEqual((yield* fibers) - before, 2)
      assert.strictEqual(yield* gauge(CancellationMetrics.abandonedWork), 1)
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual(yield* fibers, before)
      assert.strictEqual(yield* gauge(CancellationMetrics.abandonedWork), 0)
    }).pipe(inLab())
  )

  for (const fault of ["fail", "hang", "hangUninterruptibly"] as const) {
    it.effect(
      `a run that ends while its read has the fault ${fault} leaves nothing once healed`,
      () =>
        leavesNothing(
          Effect.gen(function* () {
            const faults = yield* StoreFaults
            const { close } = yield* openKnown()
            yield* faults.set({ reads: Fault[fault] })
            yield* TestClock.adjust("2 seconds")
            yield* faults.begun("stopRequests", 1)
            yield* close()
            yield* TestClock.adjust("1 minute")
            yield* faults.heal
            yield* settle
          })
        ).pipe(inLab())
    )
  }

  it.effect("a run that ends while its check hangs leaves nothing once healed", () =>
    leavesNothing(
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const { close, watcher } = yield* openKnown()
        yield* faults.set({ reads: Fault.hang })
        const check = yield* forkNow(watcher.check)
        yield* close()
        yield* TestClock.adjust("5 seconds")
        assert.isFalse(yield* Fiber.join(check))
        yield* faults.heal
      })
    ).pipe(inLab())
  )

  it.effect("a call that was answered, or whose caller is gone, leaves no timer", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { watcher } = yield* openKnown({ pollInterval: "1 hour" })
      yield* TestClock.adjust("1 second")
      const before = yield* fibers
      yield* faults.set({ reads: Fault.slow("10 millis") })
      const answered = yield* forkNow(watcher.check)
      yield* TestClock.adjust("10 millis")
      assert.isFalse(yield* exitOf(answered))
      assert.strictEqual(yield* fibers, before)
      yield* faults.set({ reads: Fault.hang })
      const left = yield* forkNow(watcher.check)
      yield* Fiber.interrupt(left)
      assert.strictEqual(yield* fibers, before)
    }).pipe(inLab())
  )

  it.effect("the interval that a call wanted is forgotten with the call", () =>
    Effect.gen(function* () {
      const { watcher } = yield* openKnown()
      const call = watcher.runWithCancellation(Effect.sleep("1 second"), {
        cancelResult,
        pollInterval: 100
      })
      const worker = yield* forkNow(call)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(worker)
      const during = yield* looks
      assert.isAtLeast(during, 9)
      const interrupted = yield* forkNow(call)
      yield* Fiber.interrupt(interrupted)
      const before = yield* looks
      yield* TestClock.adjust("10 seconds")
      assert.isAtMost((yield* looks) - before, 5)
    }).pipe(inLab())
  )

  it.effect("the interval that a run wanted is forgotten when it is cancelled", () =>
    Effect.gen(function* () {
      yield* openKnown({ name: "patient", pollInterval: "1 hour" })
      const { close, watcher } = yield* openKnown({ name: "hasty", pollInterval: "100 millis" })
      yield* watcher.cancel("deadline")
      const before = yield* looks
      yield* TestClock.adjust("1 minute")
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* looks, before)
    }).pipe(inLab())
  )

  it.effect("the library adds no listener to its signal", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const signal = yield* opened.watcher.abortSignal
      let added = 0
      const original = signal.addEventListener.bind(signal)
      signal.addEventListener = (...args: Parameters<typeof original>) => {
        added++
        original(...args)
      }
      const { work } = yield* makeWork
      const worker = yield* forkNow(
        opened.watcher.runWithCancellation(work, { cancelResult, gracePeriod: 10 })
      )
      yield* ways.poll(opened)
      assert.strictEqual(yield* exitOf(worker), cancelResult)
      yield* opened.close()
      assert.strictEqual(added, 0)
      assert.strictEqual(yield* opened.watcher.abortSignal, signal)
    }).pipe(inLab())
  )

  it.effect("a thousand runs, each ending another way, leave nothing", () =>
    leavesNothing(
      Effect.forEach(
        Array.from({ length: 1000 }),
        (_, n) =>
          Effect.gen(function* () {
            const opened = yield* open({ name: `message-${n}` })
            const { watcher } = opened
            yield* register(watcher, () => Effect.void)
            const worker = yield* Effect.forkChild(
              watcher.runWithCancellation(n % 2 === 0 ? Effect.void : Effect.never, {
                cancelResult,
                gracePeriod: n % 3 === 0 ? 100 : undefined,
                pollInterval: n % 5 === 0 ? 100 : undefined
              }),
              { startImmediately: true }
            )
            if (n % 50 === 0) yield* settle
            if (n % 4 === 1) yield* watcher.cancel("deadline")
            if (n % 4 === 3) yield* Fiber.interrupt(worker)
            if (n % 11 === 0) yield* watcher.check
            yield* opened.close(n % 13 === 0 ? Exit.interrupt() : Exit.void)
          }),
        { discard: true }
      )
    ).pipe(inLab())
  )
})
