/** Law 19, where a run that the store knows is delivered again while starts cannot be written. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { inLab, open, settle, stopElsewhere } from "./fixture-1.ts"
import { receiptNow, refOf, runOf } from "./fixture-2.ts"

describe("Law 19: A stop that is found before the start of its run is sent", () => {
  /** A run of an earlier delivery that is stopped, here again behind a start that hangs. */
  const foundByPoll = Effect.gen(function* () {
    const faults = yield* StoreFaults
    const run = runOf(refOf("a"), "1")
    yield* faults.store.startRuns([run])
    yield* stopElsewhere(run)
    yield* faults.set({ starts: Fault.hang })
    yield* open({ name: "other" })
    yield* faults.begun("startRuns", 1)
    const again = yield* open({ ref: run.ref, runId: run.runId })
    yield* TestClock.adjust("2 seconds")
    assert.isTrue(yield* again.watcher.isCancelled)
    assert.strictEqual((yield* again.watcher.cancellation).detectedBy, "poll")
    yield* settle
    return again
  })

  it.effect("is observed, for everybody to see", () =>
    Effect.gen(function* () {
      const { run } = yield* foundByPoll
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
    }).pipe(inLab())
  )

  it.effect("ends with its run", () =>
    Effect.gen(function* () {
      const { close, run } = yield* foundByPoll
      yield* close()
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
    }).pipe(inLab())
  )
})
