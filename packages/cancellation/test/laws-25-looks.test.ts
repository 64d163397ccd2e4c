/** Law 25, where looks overlap. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { MessageStore } from "../src/index.ts"
import { exitOf, forkNow, inLab, open } from "./fixture-1.ts"

/** A store in memory whose starts take 5 ms to commit, and 5 ms more to say so. */
const slowStarts = Layer.effect(
  MessageStore,
  Effect.map(MessageStore, (store) =>
    MessageStore.of({
      ...store,
      startRuns: (runs, lease) =>
        Effect.sleep(5).pipe(
          Effect.andThen(store.startRuns(runs, lease)),
          Effect.tap(() => Effect.sleep(5))
        )
    })
  )
).pipe(Layer.provide(MessageStore.layerMemory()))

describe("Law 25: Looks that overlap", () => {
  for (const looks of [2, 3]) {
    it.effect(`${looks} that began before the start was committed delete nothing`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* faults.set({ stopRequests: Fault.late("30 millis") })
        const { watcher } = yield* open()
        const checks = yield* forkNow(
          Effect.all(
            Array.from({ length: looks }, () => watcher.check),
            { concurrency: "unbounded" }
          )
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(
          yield* exitOf(checks),
          Array.from({ length: looks }, () => false)
        )
        yield* faults.heal
        yield* TestClock.adjust("1 minute")
        assert.isFalse(yield* watcher.isCancelled)
      }).pipe(inLab({}, slowStarts))
    )
  }

  it.effect(
    "two that began together are one look, and a third that finds no row is the second",
    () =>
      Effect.gen(function* () {
        const { store, ...faults } = yield* StoreFaults
        const { run, watcher } = yield* open()
        yield* TestClock.adjust("1 second")
        yield* store.forget({ _tag: "Chat", chatId: run.ref.chatId })
        yield* faults.set({ stopRequests: Fault.late("30 millis") })
        yield* forkNow(Effect.all([watcher.check, watcher.check], { concurrency: 2 }))
        yield* TestClock.adjust("100 millis")
        assert.isFalse(yield* watcher.isCancelled)
        yield* forkNow(watcher.check)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* watcher.cancellation).request.reason, "deleted")
      }).pipe(inLab({}, slowStarts))
  )
})
