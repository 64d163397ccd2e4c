/** Laws 13 and 15, where the clock, a close or an interrupt comes in between. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { MessageRepo, MessageStore, StopIntent, StopTarget } from "../src/index.ts"
import { forkNow, inLab, looks, openKnown, settle, stopElsewhere } from "./fixture-1.ts"

/** The test's clock, whose time of day can be set apart from what sleeps. */
const steppingClock = Effect.map(Clock.Clock, (base) => {
  const state = { offset: 0 }
  const millis = () => base.currentTimeMillisUnsafe() + state.offset
  const clock: Clock.Clock = {
    ...base,
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: () => BigInt(millis()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
    sleep: (duration) => base.sleep(duration)
  }
  return { state, clock }
})

describe("Law 15: A wall clock that is set", () => {
  for (const [name, offset] of Object.entries({ back: -3_600_000, forward: 3_600_000 })) {
    it.effect(`an hour ${name} neither stops the polling nor makes it hurry`, () =>
      Effect.gen(function* () {
        const { clock, state } = yield* steppingClock
        yield* Effect.gen(function* () {
          const { run, watcher } = yield* openKnown()
          yield* TestClock.adjust("10 seconds")
          state.offset = offset
          const before = yield* looks
          yield* forkNow(
            watcher.runWithCancellation(Effect.sleep("10 seconds"), { pollInterval: "500 millis" })
          )
          yield* TestClock.adjust("10 seconds")
          assert.closeTo((yield* looks) - before, 20, 2)
          yield* stopElsewhere(run)
          yield* TestClock.adjust("2 seconds")
          assert.isTrue(yield* watcher.isCancelled)
        }).pipe(inLab(), Effect.provideService(Clock.Clock, clock))
      })
    )
  }
})

describe("Law 15: Ends that meet", () => {
  const budgets = Array.from({ length: 58 }, (_, index) => index + 3)

  for (const first of ["cancel", "close"] as const) {
    it.effect(`a ${first} that the other one overtakes leaves another run's polling alone`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const other = yield* openKnown({ name: "other" })
        for (const budget of budgets) {
          const one = yield* openKnown({ name: `one-${budget}` })
          const cancel = one.watcher.cancel("user")
          const pair = first === "cancel" ? [cancel, one.close()] : [one.close(), cancel]
          yield* forkNow(
            Effect.all(pair, { concurrency: 2 }).pipe(
              Effect.provideService(References.MaxOpsBeforeYield, budget)
            )
          )
          yield* TestClock.adjust("10 millis")
          const before = (yield* faults.counts).stopRequests.calls
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual((yield* looks) - before, 2, `${budget} operations before a yield`)
        }
        yield* stopElsewhere(other.run)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* other.watcher.isCancelled)
      }).pipe(inLab())
    )
  }
})

describe("Law 13: A stop that is stored is told", () => {
  const committed: { next: () => void } = { next: () => {} }

  /** A store in memory that says when a stop is committed. */
  const interrupting = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        requestStop: (target, intent) =>
          Effect.tap(store.requestStop(target, intent), () => Effect.sync(() => committed.next()))
      })
    )
  ).pipe(Layer.provide(MessageStore.layerMemory()))

  it.effect("even if the caller is interrupted in the step of the commit", () =>
    Effect.gen(function* () {
      const repo = yield* MessageRepo
      const { run, watcher } = yield* openKnown()
      const caller = yield* Effect.forkChild(
        repo.requestStop(StopTarget.cases.Run.make({ run }), StopIntent.make({ reason: "user" }))
      )
      committed.next = () => caller.interruptUnsafe()
      yield* Fiber.await(caller)
      yield* settle
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(inLab({}, interrupting))
  )

  it.effect("even if the caller is interrupted while the answer is on its way", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* MessageRepo
      const { run, watcher } = yield* openKnown()
      yield* faults.set({ requestStop: Fault.late("20 millis") })
      const caller = yield* forkNow(
        repo.requestStop(StopTarget.cases.Run.make({ run }), StopIntent.make({ reason: "user" }))
      )
      yield* TestClock.adjust("5 millis")
      yield* Effect.forkChild(Fiber.interrupt(caller), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(inLab())
  )
})
