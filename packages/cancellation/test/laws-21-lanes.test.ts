/** Law 21, where one run of many is refused, or something arrives just as a lane ends. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  MessageRepo,
  MessageStore,
  type Run,
  unavailable
} from "../src/index.ts"
import { makeLane } from "../src/internal/lane.ts"
import { exitOf, forkNow, inLab, linesAt, open, openKnown, recordOf, settle } from "./fixture-1.ts"

/** A store in memory that refuses any statement with the run of the message `refused` in it. */
const refusing = (...operations: ReadonlyArray<"startRuns" | "advanceRuns">) =>
  Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) => {
      const isRefused = ({ ref }: Run) => ref.messageId === "refused"
      return MessageStore.of({
        ...store,
        startRuns: (runs, lease) =>
          operations.includes("startRuns") && runs.some(isRefused)
            ? Effect.fail(unavailable("startRuns", new Error("a constraint")))
            : store.startRuns(runs, lease),
        advanceRuns: (changes) =>
          operations.includes("advanceRuns") && changes.some(({ run }) => isRefused(run))
            ? Effect.fail(unavailable("advanceRuns", new Error("a constraint")))
            : store.advanceRuns(changes)
      })
    })
  ).pipe(Layer.provide(MessageStore.layerMemory()))

const names = ["a", "b", "c", "d", "e"] as const

const givenUp = Effect.map(
  Metric.value(CancellationMetrics.lastWritesGivenUp),
  ({ count }) => count
)

describe("Law 21: One run that is refused blocks nobody", () => {
  it.effect("runs that begin after it are started", () =>
    Effect.gen(function* () {
      yield* open({ name: "refused" })
      yield* TestClock.adjust("5 seconds")
      const late = yield* open({ name: "late" })
      yield* TestClock.adjust("1 second")
      assert.isDefined(yield* recordOf(late.run))
    }).pipe(inLab({}, refusing("startRuns")))
  )

  it.effect("runs that begin with it are started, whichever place it has", () =>
    Effect.gen(function* () {
      const before = yield* Effect.forEach(names, (name) => open({ name }))
      yield* open({ name: "refused" })
      const after = yield* Effect.forEach(names, (name) => open({ name: `${name}-2` }))
      yield* TestClock.adjust("5 seconds")
      for (const { run } of [...before, ...after]) assert.isDefined(yield* recordOf(run))
    }).pipe(inLab({}, refusing("startRuns")))
  )

  it.effect("the end of a healthy run does not wait for it, and is written", () =>
    Effect.gen(function* () {
      const healthy = yield* openKnown({ name: "healthy" })
      const refused = yield* open({ name: "refused" })
      yield* TestClock.adjust("5 seconds")
      const ends = yield* forkNow(refused.close())
      yield* TestClock.adjust("6 seconds")
      assert.isUndefined(yield* exitOf(ends))
      const closing = yield* forkNow(healthy.close())
      yield* TestClock.adjust("100 millis")
      assert.isUndefined(yield* exitOf(closing))
      assert.strictEqual((yield* recordOf(healthy.run))?.outcome, "completed")
      yield* TestClock.adjust("1 minute")
    }).pipe(inLab({}, refusing("startRuns")))
  )

  it.effect("nor for one whose last write is refused", () =>
    Effect.gen(function* () {
      const refused = yield* openKnown({ name: "refused" })
      const healthy = yield* Effect.forEach(names, (name) => openKnown({ name }))
      yield* refused.close()
      // by now it is tried again every two seconds
      yield* TestClock.adjust("8 seconds")
      for (const { close, run } of healthy) {
        const closing = yield* forkNow(close())
        yield* TestClock.adjust("100 millis")
        assert.isUndefined(yield* exitOf(closing))
        yield* TestClock.adjust("300 millis")
        assert.strictEqual((yield* recordOf(run))?.outcome, "completed")
      }
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* givenUp, 1)
      assert.lengthOf(yield* linesAt("Error"), 1)
    }).pipe(inLab({}, refusing("advanceRuns")))
  )

  it.effect("one refused last write among others that are written together", () =>
    Effect.gen(function* () {
      const all = yield* Effect.forEach(["a", "b", "refused", "c", "d"], (name) =>
        openKnown({ name })
      )
      yield* Effect.forEach(all, ({ close }) => close(), { concurrency: "unbounded" }).pipe(forkNow)
      yield* TestClock.adjust("5 seconds")
      const outcomes = yield* Effect.forEach(all, ({ run }) =>
        Effect.map(recordOf(run), (record) => record?.outcome)
      )
      assert.deepStrictEqual(
        outcomes,
        all.map(({ run }) => (run.ref.messageId === "refused" ? undefined : "completed"))
      )
      yield* TestClock.adjust("1 minute")
    }).pipe(inLab({}, refusing("advanceRuns")))
  )
})

describe("Law 21: What is offered as a lane ends", () => {
  for (const budget of [3, 4, 5, 7, 11, 17, 29, 60]) {
    it.effect(`is not lost, with ${budget} operations before a fiber yields`, () =>
      Effect.gen(function* () {
        const context = yield* Effect.context<never>()
        const scope = yield* Effect.scope
        const lost: Array<number> = []
        for (let length = 0; length < 2 * budget; length++) {
          const done: Array<number> = []
          const lane = makeLane<number>({
            scope,
            context,
            process: (items) =>
              Effect.forEach(
                Array.from({ length: items.includes(1) ? length : 0 }),
                () => Effect.void
              ).pipe(Effect.andThen(Effect.sync(() => done.push(...items))), Effect.as([]))
          })
          for (let pause = 0; pause < 2; pause++) {
            done.length = 0
            yield* lane.offer(1)
            yield* Effect.forkChild(
              Effect.andThen(
                Effect.forEach(Array.from({ length: pause }), () => Effect.yieldNow),
                lane.offer(2)
              )
            )
            yield* settle
            if (!done.includes(2)) lost.push(length)
          }
        }
        assert.deepStrictEqual(lost, [])
      }).pipe(Effect.scoped, Effect.provideService(References.MaxOpsBeforeYield, budget))
    )
  }

  it.effect("a run that begins as the starts of others end is started", () =>
    Effect.gen(function* () {
      const missing: Array<number> = []
      for (let budget = 3; budget <= 60; budget++) {
        const [first, late] = [`first-${budget}`, `late-${budget}`]
        const opened = yield* Effect.gen(function* () {
          yield* open({ name: first })
          const fiber = yield* Effect.forkChild(open({ name: late }))
          yield* settle
          yield* settle
          return yield* exitOf(fiber)
        }).pipe(Effect.provideService(References.MaxOpsBeforeYield, budget))
        const found = isOpened(opened) ? yield* recordOf(opened.run) : undefined
        if (found === undefined) missing.push(budget)
      }
      assert.deepStrictEqual(missing, [])
    }).pipe(inLab())
  )

  const isOpened = (value: unknown): value is { readonly run: Run } =>
    typeof value === "object" && value !== null && "run" in value
})

describe("Law 21: A repo that closes while a run is open", () => {
  it.effect("warns, and says of the outcome that it drops: one error line and the metric", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const store = yield* MessageStore
      const scope = yield* Scope.make()
      const repo = Context.get(
        yield* Layer.buildWithScope(
          Layer.fresh(MessageRepo.layer()).pipe(Layer.provide(Layer.succeed(MessageStore, store))),
          scope
        ),
        MessageRepo
      )
      const opened = yield* openKnown({ name: "open" }).pipe(
        Effect.provideService(MessageRepo, repo)
      )
      assert.isFalse(yield* opened.watcher.isCancelled)
      yield* Scope.close(scope, Exit.void)
      const [warning, ...more] = yield* linesAt("Warn")
      assert.include(warning?.text, "closes before 1 run:")
      assert.deepStrictEqual([...more, ...(yield* linesAt("Error"))], [])
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(yield* linesAt("Error"), 1)
      assert.strictEqual(yield* givenUp, 1)
      assert.strictEqual((yield* faults.counts).advanceRuns.calls, 0)
      assert.isUndefined((yield* recordOf(opened.run))?.outcome)
    }).pipe(inLab())
  )
})
