/** Laws 11, 12 and 21, where runs end one after the other, as their repo is gone, or on a store that throws. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  CancellationWatcher,
  MessageId,
  MessageStore,
  type RunOutcome
} from "../src/index.ts"
import { forkNow, inLab, looks, openKnown, recordOf, refOf, settle } from "./fixture-1.ts"
import { faultyMemory, openRepo, openRepoUntil, openRun, recordIn, runIdOf } from "./fixture-2.ts"

describe("Law 21: The end of a run waits for its first attempt, and no longer", () => {
  it.effect("each of two ends, of which one follows at once on the other", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const [x, a, b] = yield* Effect.forEach(["x", "a", "b"], (name) => openKnown({ name }))
      if (x === undefined || a === undefined || b === undefined) return assert.fail()
      yield* faults.set({ writes: Fault.hang })
      yield* forkNow(x.close())
      yield* TestClock.adjust("1 second")
      const ended: Array<string> = []
      yield* forkNow(
        Effect.gen(function* () {
          yield* a.close()
          ended.push("a")
          yield* b.close()
          ended.push("b")
        })
      )
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(ended, ["a"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(ended, ["a", "b"])
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
    }).pipe(inLab({ chunkSize: 1 }))
  )

  it.effect("of a turn of two messages, for the attempts at both", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close, run, watcher } = yield* openKnown()
      yield* watcher.retarget(MessageId.make("next"))
      yield* faults.ended("startRuns", 2)
      yield* faults.set({ writes: Fault.slow("1 second") })
      const closing = yield* forkNow(close())
      const isOver: Array<boolean> = []
      const outcomes: Array<RunOutcome | undefined> = []
      for (const segment of [run, yield* watcher.run]) {
        yield* TestClock.adjust("1 second")
        isOver.push(closing.pollUnsafe() !== undefined)
        outcomes.push((yield* recordOf(segment))?.outcome)
      }
      assert.deepStrictEqual(isOver, [false, true])
      assert.deepStrictEqual(outcomes, ["completed", "completed"])
    }).pipe(inLab({ chunkSize: 1 }))
  )

  it.effect("runs that come one after the other go on over the end of their repo", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close, repo } = yield* openRepoUntil()
      const first = yield* openRun(repo, { ref: refOf("first"), runId: runIdOf("first") })
      yield* settle
      yield* faults.set({ writes: Fault.hang })
      const program = yield* forkNow(
        Effect.gen(function* () {
          yield* first.close()
          for (let turn = 0; turn < 40; turn++) {
            const next = { ref: refOf(`next-${turn}`), runId: runIdOf(`next-${turn}`) }
            const run = yield* openRun(repo, next)
            yield* run.close()
          }
        })
      )
      const closing = yield* forkNow(close)
      for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
      assert.strictEqual(program.pollUnsafe()?._tag, "Success")
      assert.strictEqual(closing.pollUnsafe()?._tag, "Success")
      yield* faults.heal
    }).pipe(Effect.scoped, Effect.provide(faultyMemory))
  )
})

describe("Law 21: A store that throws in place of an effect", () => {
  let isThrowing = true
  const Throwing = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        startRuns: (runs, lease) => {
          if (isThrowing) throw new Error("no effect")
          return store.startRuns(runs, lease)
        }
      })
    )
  ).pipe(Layer.provide(MessageStore.layerMemory()))

  it.effect("holds up no last write once it answers, neither its run's nor another's", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const unstarted = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("a") })
      yield* settle
      isThrowing = false
      const other = yield* openRun(repo, { ref: refOf("b"), runId: runIdOf("b") })
      yield* TestClock.adjust("1 second")
      yield* forkNow(Effect.andThen(unstarted.close(), other.close()))
      yield* TestClock.adjust("1 minute")
      const store = yield* MessageStore
      for (const { run } of [unstarted, other]) {
        assert.strictEqual((yield* recordIn(store, run))?.outcome, "completed")
      }
    }).pipe(Effect.scoped, Effect.provide(Throwing))
  )
})

describe("Law 12: A store that throws in place of an effect", () => {
  const Throwing = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        stopRequests: () => {
          throw new Error("no effect")
        }
      })
    )
  ).pipe(Layer.provide(MessageStore.layerMemory()))

  it.effect("has not answered: a check tells what is known, and the polling goes on", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("a") })
      yield* settle
      assert.isFalse(yield* watcher.check)
      const failed = Effect.map(Metric.value(CancellationMetrics.failedReads), ({ count }) => count)
      const before = yield* failed
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* failed) - before, 5)
    }).pipe(Effect.scoped, Effect.provide(Throwing))
  )
})

describe("Law 11: Nothing leaks", () => {
  it.effect("of a run whose scope is closed by the time that it opens", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      yield* Layer.buildWithScope(CancellationWatcher.layer({ ref: refOf("a") }), scope)
      yield* settle
      const before = yield* looks
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Metric.value(CancellationMetrics.runsWatched)).value, 0)
      assert.strictEqual(yield* looks, before)
    }).pipe(inLab())
  )
})
