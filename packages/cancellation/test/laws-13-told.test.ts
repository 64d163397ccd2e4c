/** Law 13, where the caller of a stop is interrupted. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { MessageRepo, MessageStore, StopIntent, StopTarget } from "../src/index.ts"
import { forkNow, inLab, openKnown, settle } from "./fixture-1.ts"

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
