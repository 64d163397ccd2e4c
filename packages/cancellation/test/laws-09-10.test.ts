import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { StoreFaults } from "effect-cancellation-testing"
import { CancellationMetrics, CancellationWatcher } from "../src/index.ts"
import {
  collect,
  detections,
  exitOf,
  forkNow,
  inLab,
  type lab,
  linesAt,
  makeWork,
  openKnown,
  type Opened,
  recordOf,
  refOf,
  settle,
  stopElsewhere,
  ways
} from "./fixture-1.ts"

const cancelResult = "cancelled" as const
const abandoned = Effect.map(Metric.value(CancellationMetrics.abandonedWork), ({ value }) => value)
const isInterrupted = (fiber: Fiber.Fiber<unknown, unknown>) =>
  Effect.sync(() => {
    const exit = fiber.pollUnsafe()
    return exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
  })

/** The two combinators, so that what holds for work is seen to hold for streams. */
const forms = {
  work: ({ watcher }: Opened, work: Effect.Effect<unknown>, gracePeriod?: number) =>
    watcher.runWithCancellation(work, { cancelResult, gracePeriod }),
  stream: ({ watcher }: Opened, work: Effect.Effect<unknown>, gracePeriod?: number) =>
    Stream.fromEffect(work).pipe(
      watcher.streamWithCancellation({ gracePeriod }),
      Stream.runDrain,
      Effect.as(cancelResult)
    )
}

describe("Law 9: Outer interruption stays interruption", () => {
  for (const [name, form] of Object.entries(forms)) {
    for (const gracePeriod of [undefined, 1000]) {
      const what = gracePeriod === undefined ? name : `${name} with a grace period`

      it.effect(`a timeout around ${what} is a timeout, and no stop`, () =>
        Effect.gen(function* () {
          const opened = yield* openKnown()
          const { state, work } = yield* makeWork
          const worker = yield* forkNow(
            Effect.timeoutOption(form(opened, work, gracePeriod), "1 second")
          )
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(yield* exitOf(worker), Option.none())
          assert.strictEqual(state.interrupted, 1)
          assert.isFalse(yield* opened.watcher.isCancelled)
          assert.deepStrictEqual(yield* detections, {})
        }).pipe(inLab())
      )

      it.effect(`a parent that ends interrupts ${what}, and it is no stop`, () =>
        Effect.gen(function* () {
          const opened = yield* openKnown()
          const { state, work } = yield* makeWork
          const ready = yield* Deferred.make<Fiber.Fiber<unknown>>()
          const parent = yield* forkNow(
            Effect.forkChild(form(opened, work, gracePeriod)).pipe(
              Effect.tap((child) => Deferred.succeed(ready, child)),
              Effect.andThen(Effect.sleep("1 second"))
            )
          )
          const child = yield* Deferred.await(ready)
          yield* settle
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(parent)
          assert.isTrue(yield* isInterrupted(child))
          assert.strictEqual(state.interrupted, 1)
          assert.isFalse(yield* opened.watcher.isCancelled)
        }).pipe(inLab())
      )

      for (const order of ["stop, then interrupt", "interrupt, then stop"] as const) {
        it.effect(`${order}: ${what} is interrupted, and the event stays published`, () =>
          Effect.gen(function* () {
            const opened = yield* openKnown()
            const { seen } = yield* collect(opened.watcher)
            const worker = yield* forkNow(
              form(
                opened,
                Effect.never.pipe(Effect.onInterrupt(() => Effect.sleep("500 millis"))),
                gracePeriod
              )
            )
            const interrupt = forkNow(Fiber.interrupt(worker))
            if (order === "stop, then interrupt") {
              yield* ways.poll(opened)
              yield* interrupt
            } else {
              yield* stopElsewhere(opened.run)
              yield* TestClock.adjust("1900 millis")
              yield* interrupt
              yield* TestClock.adjust("100 millis")
            }
            assert.isTrue(yield* opened.watcher.isCancelled)
            assert.strictEqual(yield* exitOf(worker), "running")
            yield* TestClock.adjust("500 millis")
            assert.isTrue(yield* isInterrupted(worker))
            assert.strictEqual(seen.length, 1)
          }).pipe(inLab())
        )
      }

      it.effect(`${what} that interrupts itself is interrupted, and it is no stop`, () =>
        Effect.gen(function* () {
          const opened = yield* openKnown()
          const byEffect = yield* forkNow(form(opened, Effect.interrupt, gracePeriod))
          assert.isTrue(yield* isInterrupted(byEffect))
          const byFiber = yield* forkNow(
            form(
              opened,
              Effect.withFiber((fiber) => {
                fiber.interruptUnsafe()
                return Effect.never
              }),
              gracePeriod
            )
          )
          assert.isTrue(yield* isInterrupted(byFiber))
          assert.isFalse(yield* opened.watcher.isCancelled)
          assert.deepStrictEqual(yield* detections, {})
        }).pipe(inLab())
      )
    }
  }

  it.effect(
    "a run whose scope closes by interruption is interrupted in the store, not stopped",
    () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        yield* opened.close(Exit.interrupt())
        assert.strictEqual((yield* recordOf(opened.run))?.outcome, "interrupted")
      }).pipe(inLab())
  )

  it.effect("a runtime that closes interrupts the work and its run, and it is no stop", () =>
    Effect.gen(function* () {
      const services = Layer.succeedContext(
        yield* Effect.context<Layer.Success<ReturnType<typeof lab>>>()
      )
      const runtime = ManagedRuntime.make(
        Layer.provideMerge(CancellationWatcher.layer({ ref: refOf("message") }), services)
      )
      const { state, work } = yield* makeWork
      const context = yield* runtime.contextEffect
      const watcher = Context.get(context, CancellationWatcher)
      const run = yield* watcher.run
      const faults = yield* StoreFaults
      yield* faults.ended("startRuns", 1)
      const worker = runtime.runFork(watcher.runWithCancellation(work, { cancelResult }))
      yield* settle
      yield* runtime.disposeEffect
      yield* settle
      assert.isTrue(yield* isInterrupted(worker))
      assert.strictEqual(state.interrupted, 1)
      assert.isFalse(yield* watcher.isCancelled)
      assert.deepStrictEqual(yield* detections, {})
      assert.notStrictEqual((yield* recordOf(run))?.outcome, "stopped")
    }).pipe(inLab())
  )
})

describe("Law 10: Finalizers run", () => {
  for (const [name, form] of Object.entries(forms)) {
    it.effect(`${name} returns only after its finalizers, however long they take`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        let done = false
        const worker = yield* forkNow(
          form(
            opened,
            Effect.never.pipe(
              Effect.ensuring(
                Effect.delay(
                  Effect.sync(() => {
                    done = true
                  }),
                  "1 hour"
                )
              )
            )
          )
        )
        yield* ways.poll(opened)
        yield* TestClock.adjust("59 minutes")
        assert.deepStrictEqual([yield* exitOf(worker), done], ["running", false])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([yield* exitOf(worker), done], [cancelResult, true])
      }).pipe(inLab())
    )

    for (const place of ["the layer", "the call"] as const) {
      it.effect(`${name} that resists is given up after the gracePeriod of ${place}`, () =>
        Effect.gen(function* () {
          const opened = yield* openKnown(place === "the layer" ? { gracePeriod: 1000 } : {})
          const go = yield* Deferred.make<void>()
          const worker = yield* forkNow(
            form(
              opened,
              Effect.uninterruptible(Deferred.await(go)),
              place === "the layer" ? undefined : 1000
            )
          )
          yield* ways.poll(opened)
          yield* TestClock.adjust("999 millis")
          assert.deepStrictEqual([yield* exitOf(worker), yield* abandoned], ["running", 0])
          yield* TestClock.adjust("1 millis")
          assert.deepStrictEqual([yield* exitOf(worker), yield* abandoned], [cancelResult, 1])
          const [line] = yield* linesAt("Warn")
          assert.include(line?.text, "given up")
          assert.strictEqual(line?.annotations["effect_cancellation.run_id"], opened.run.runId)
          yield* opened.close()
          assert.strictEqual((yield* recordOf(opened.run))?.outcome, "abandoned")
          assert.strictEqual(yield* abandoned, 1)
          yield* Deferred.succeed(go, undefined)
          yield* settle
          assert.strictEqual(yield* abandoned, 0)
          assert.include((yield* linesAt("Info")).at(-1)?.text, "given up has ended")
        }).pipe(inLab())
      )
    }

    it.effect(`${name} that ends within its gracePeriod is not given up`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const worker = yield* forkNow(
          form(opened, Effect.ensuring(Effect.never, Effect.sleep("999 millis")), 1000)
        )
        yield* ways.poll(opened)
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual([yield* exitOf(worker), yield* abandoned], [cancelResult, 0])
        yield* opened.close()
        assert.strictEqual((yield* recordOf(opened.run))?.outcome, "stopped")
      }).pipe(inLab())
    )

    it.effect(`${name} with a gracePeriod of 0 is given up only if it does not end at once`, () =>
      Effect.gen(function* () {
        const first = yield* openKnown({ name: "first" })
        const { state, work } = yield* makeWork
        const quick = yield* forkNow(form(first, work, 0))
        yield* ways.poll(first)
        assert.deepStrictEqual(
          [yield* exitOf(quick), state.interrupted, yield* abandoned],
          [cancelResult, 1, 0]
        )
        const second = yield* openKnown({ name: "second" })
        const slow = yield* forkNow(
          form(second, Effect.ensuring(Effect.never, Effect.sleep("1 millis")), 0)
        )
        yield* stopElsewhere(second.run)
        yield* second.watcher.check
        yield* settle
        assert.deepStrictEqual([yield* exitOf(slow), yield* abandoned], [cancelResult, 1])
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* abandoned, 0)
      }).pipe(inLab())
    )

    for (const when of ["before a stop", "during the grace wait"] as const) {
      it.effect(`an outer interruption ${when} waits for ${name}, whatever the gracePeriod`, () =>
        Effect.gen(function* () {
          const opened = yield* openKnown()
          const worker = yield* forkNow(
            form(opened, Effect.ensuring(Effect.never, Effect.sleep("1 hour")), 1000)
          )
          if (when === "during the grace wait") yield* ways.poll(opened)
          yield* forkNow(Fiber.interrupt(worker))
          yield* TestClock.adjust("59 minutes")
          assert.strictEqual(yield* exitOf(worker), "running")
          assert.strictEqual(yield* abandoned, 0)
          yield* TestClock.adjust("1 minute")
          assert.isTrue(yield* isInterrupted(worker))
          yield* opened.close()
          assert.notStrictEqual((yield* recordOf(opened.run))?.outcome, "abandoned")
        }).pipe(inLab())
      )
    }
  }

  it.effect("a source's own finalizers run before the stream has ended", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const order: Array<string> = []
      const reader = yield* forkNow(
        Stream.never.pipe(
          Stream.ensuring(
            Effect.delay(
              Effect.sync(() => order.push("source")),
              "1 second"
            )
          ),
          opened.watcher.streamWithCancellation(),
          Stream.runDrain,
          Effect.tap(Effect.sync(() => order.push("reader")))
        )
      )
      yield* ways.poll(opened)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(order, ["source", "reader"])
    }).pipe(inLab())
  )

  it.effect("a stop that comes while nobody pulls ends the stream at the next pull", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const seen: Array<number> = []
      const reader = yield* forkNow(
        Stream.fromIterable([1, 2, 3]).pipe(
          Stream.rechunk(1),
          opened.watcher.streamWithCancellation({ gracePeriod: 1000 }),
          Stream.runForEach((n) =>
            Effect.delay(
              Effect.sync(() => seen.push(n)),
              "3 seconds"
            )
          )
        )
      )
      yield* ways.poll(opened)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(seen, [1])
      assert.strictEqual(yield* abandoned, 0)
    }).pipe(inLab())
  )

  it.effect("the time from the detection to the end of the work counts the finalizers", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* forkNow(forms.work(opened, Effect.ensuring(Effect.never, Effect.sleep("3 seconds"))))
      yield* ways.poll(opened)
      yield* TestClock.adjust("3 seconds")
      const { count, max, min } = yield* Metric.value(CancellationMetrics.detectionToEnd)
      assert.deepStrictEqual([count, min, max], [1, 3000, 3000])
    }).pipe(inLab())
  )
})
