/** Law 19, where a run is watched twice. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { forkNow, inLab, open, openKnown, recordOf, settle } from "./fixture-1.ts"

describe("Law 19: A run that is watched twice", () => {
  it.effect("ends in the store with the last watch, though its own start was never sent", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const first = yield* openKnown()
      // Starts take their time: the second one's waits behind another run's.
      yield* faults.set({ startRuns: Fault.late("1 second") })
      yield* open({ name: "another" })
      yield* settle
      const second = yield* open()
      yield* settle
      yield* forkNow(first.close())
      yield* forkNow(second.close())
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(first.run))?.outcome, "completed")
    }).pipe(inLab())
  )
})
