/** Law 13, for the look that a hint has of its own, and a signal that throws. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Fault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import { MessageRepo, StopHint, StopSignal } from "../src/index.ts"
import { hintOf, inLab, openKnown, settle, stopElsewhere } from "./fixture-1.ts"

describe("Law 13: Hints", () => {
  it.effect("a signal that throws at once is a hint that was not published", () =>
    Effect.gen(function* () {
      const signal = StopSignal.of({
        publish: () => {
          throw new Error("not connected")
        },
        hints: Stream.never
      })
      const layer = Layer.fresh(MessageRepo.layer()).pipe(
        Layer.provide(Layer.succeed(StopSignal, signal))
      )
      const repo = Context.get(yield* Layer.build(layer), MessageRepo)
      const { run, watcher } = yield* Effect.provideService(openKnown(), MessageRepo, repo)
      const exit = yield* Effect.exit(repo.requestStop(run))
      yield* settle
      assert.isTrue(Exit.isSuccess(exit))
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(Effect.scoped, inLab())
  )

  for (const isBusy of [false, true]) {
    it.effect(
      `looks again 500 ms after its own look${isBusy ? ", behind another one too" : ""}`,
      () =>
        Effect.gen(function* () {
          const faults = yield* StoreFaults
          const { run, watcher } = yield* openKnown({ pollInterval: "1 minute" })
          yield* faults.set({ stopRequests: Fault.late("300 millis") })
          if (isBusy) {
            yield* SignalFaults.use((signal) => signal.emit(StopHint.cases.Reconnected.make({})))
            yield* settle
            yield* TestClock.adjust("100 millis")
          }
          yield* hintOf(run)
          // Its own look ends 300 ms after it, or 500 ms if another one is under way.
          yield* TestClock.adjust(isBusy ? "950 millis" : "750 millis")
          yield* stopElsewhere(run)
          yield* TestClock.adjust("1 second")
          assert.isTrue(yield* watcher.isCancelled)
        }).pipe(inLab())
    )
  }
})
