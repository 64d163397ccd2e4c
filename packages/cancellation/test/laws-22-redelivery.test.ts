/** Law 22, where a run that was lost is delivered again, and its start takes its time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { inLab, linesAt, looks, open } from "./fixture-1.ts"
import { refOf, runOf } from "./fixture-2.ts"

describe("Law 22: A lost run that is delivered again", () => {
  it.effect("is not cancelled by a look that comes before its start", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const run = runOf(refOf("a"), "1")
      yield* faults.store.startRuns([run])
      yield* faults.store.advanceRuns([{ run, to: "lost" }])
      yield* faults.set({ starts: Fault.slow("3 seconds") })
      const { watcher } = yield* open({ ref: run.ref, runId: run.runId })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* looks, 1)
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
      assert.lengthOf(yield* linesAt("Warn"), 1)
    }).pipe(inLab())
  )
})
