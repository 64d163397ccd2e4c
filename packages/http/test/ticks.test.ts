import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Duration from "effect/Duration"
import {
  ForgetQuery,
  MessageRepo,
  MessageStore,
  type Run,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { type Followers, makeFollowers } from "../src/internal/followers.ts"
import { runOf } from "./support/stops.ts"

const Store = MessageRepo.layer().pipe(
  Layer.provideMerge(StoreFaults.layer(MessageStore.layerMemory()))
)

const open = Effect.gen(function* () {
  const faults = yield* StoreFaults
  const followers = makeFollowers({
    repo: yield* MessageRepo,
    scope: yield* Effect.scope,
    tick: Duration.millis(250),
    idleTick: Duration.seconds(2)
  })
  return {
    followers,
    faults,
    store: faults.store,
    looks: Effect.map(faults.counts, ({ findRuns }) => findRuns.calls),
    stop: (run: Run) =>
      faults.store.requestStop(
        StopTarget.cases.Run.make({ run }),
        StopIntent.make({ reason: "user" })
      )
  }
})

/** Follows a run from how it stands now. */
const follow = Effect.fnUntraced(function* (followers: Followers, run: Run) {
  const { store } = yield* StoreFaults
  const [seen] = yield* store.startRuns([run])
  return yield* Effect.forkChild(
    followers.follow({ ref: run.ref, runId: run.runId }, seen).pipe(
      Stream.takeUntil(({ outcome }) => outcome !== undefined),
      Stream.runCollect
    ),
    { startImmediately: true }
  )
})

const runs = (count: number) =>
  Array.from({ length: count }, (_, index) => runOf({ messageId: `message-${index}` }))

describe("all who follow receipts", () => {
  it.effect("ask nothing while there are none, and nothing when the last has gone", () =>
    Effect.gen(function* () {
      const { followers, looks } = yield* open
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* looks, 0)
      const fiber = yield* follow(followers, runOf())
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* looks, 2)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* looks, 2)
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("share one query a tick, in chunks of a thousand messages", () =>
    Effect.gen(function* () {
      const { faults, followers, looks } = yield* open
      const all = runs(1001)
      for (const run of all) yield* follow(followers, run)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* looks, 2)
      // more than a thousand who wait for one and the same are one
      const others = yield* open
      for (let index = 0; index < 1001; index++) yield* follow(others.followers, runOf())
      const before = yield* faults.counts
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* looks) - before.findRuns.calls, 3)
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("look often while one of them is being stopped, and seldom before and after", () =>
    Effect.gen(function* () {
      const { followers, looks, stop, store } = yield* open
      const run = runOf()
      yield* follow(followers, run)
      const other = yield* follow(followers, runOf({ messageId: "goes on" }))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* looks, 5)
      // elsewhere, so that only the next look tells of it
      yield* stop(run)
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(yield* looks, 6)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* looks, 10)
      yield* store.advanceRuns([{ run, to: "stopped" }])
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(yield* looks, 11)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* looks, 16)
      yield* Fiber.interrupt(other)
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("look soon when a stop was asked here", () =>
    Effect.gen(function* () {
      const { followers, looks, stop } = yield* open
      const run = runOf()
      yield* follow(followers, run)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* looks, 1)
      yield* stop(run)
      yield* followers.hurry(run.ref)
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(yield* looks, 2)
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("look soon at who has just come, for whom a stop may have been asked meanwhile", () =>
    Effect.gen(function* () {
      const { followers, stop, store } = yield* open
      const run = runOf()
      const [seen] = yield* store.startRuns([run])
      yield* stop(run)
      const fiber = yield* Effect.forkChild(
        followers.follow({ ref: run.ref, runId: run.runId }, seen).pipe(Stream.runHead),
        { startImmediately: true }
      )
      yield* TestClock.adjust("250 millis")
      assert.isTrue(Option.isSome(yield* Fiber.join(fiber)))
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("are not held up by those who come", () =>
    Effect.gen(function* () {
      const { followers, looks, stop } = yield* open
      const all = runs(20)
      const [first] = all
      if (first === undefined) throw new Error("There are twenty")
      yield* stop(first)
      for (const run of all) {
        yield* stop(run)
        yield* follow(followers, run)
        yield* TestClock.adjust("100 millis")
      }
      assert.strictEqual(yield* looks, 8)
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("go on after an outage of the store also while others come all the time", () =>
    Effect.gen(function* () {
      const { faults, followers, looks } = yield* open
      yield* follow(followers, runOf())
      yield* faults.set({ findRuns: Fault.fail })
      yield* TestClock.adjust("1 second")
      yield* faults.heal
      const before = yield* looks
      for (const run of runs(10)) {
        yield* follow(followers, run)
        yield* TestClock.adjust("1 second")
      }
      assert.isAbove((yield* looks) - before, 4)
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("go on after an outage of the store", () =>
    Effect.gen(function* () {
      const { faults, followers, looks, stop, store } = yield* open
      const run = runOf()
      const fiber = yield* follow(followers, run)
      yield* stop(run)
      yield* TestClock.adjust("2 seconds")
      const before = yield* looks
      yield* faults.set({ findRuns: Fault.fail })
      yield* TestClock.adjust("1 minute")
      // an outage is not made longer by asking often
      assert.isAtMost((yield* looks) - before, 31)
      yield* faults.heal
      yield* store.advanceRuns([{ run, to: "completed" }])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).at(-1)?.outcome, "completed")
    }).pipe(Effect.scoped, Effect.provide(Store))
  )

  it.effect("are told of the end when a run is gone in two looks", () =>
    Effect.gen(function* () {
      const { faults, followers, store } = yield* open
      const run = runOf()
      const fiber = yield* follow(followers, run)
      yield* faults.set({ findRuns: Fault.flapping(Fault.fail, Fault.healthy) })
      yield* store.forget(ForgetQuery.cases.Chat.make({ ...run.ref }))
      yield* TestClock.adjust("6 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), [])
    }).pipe(Effect.scoped, Effect.provide(Store))
  )
})
