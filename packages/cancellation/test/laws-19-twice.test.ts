/** Law 19, where a run is watched twice. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { MessageRepo } from "../src/index.ts"
import { forkNow, inLab, linesAt, open, openKnown, recordOf, settle } from "./fixture-1.ts"
import { failuresOf, type Pause, pausing, takeTurns } from "./pauses.ts"

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

  it.effect("ends once, though the second watch is cancelled as it opens", () =>
    Effect.gen(function* () {
      const wrong = yield* failuresOf((pause) => endsOnce(pause).pipe(inLab()))
      assert.deepStrictEqual(wrong, [])
    })
  )

  for (const starts of [Fault.fail, Fault.hang]) {
    for (const closesFirst of [0, 1] as const) {
      it.effect(
        `is not started any more behind its end, where starts ${starts._tag.toLowerCase()} and the ${closesFirst === 0 ? "first" : "second"} ends first`,
        () =>
          Effect.gen(function* () {
            const faults = yield* StoreFaults
            const calls = Effect.map(faults.counts, ({ startRuns }) => startRuns.calls)
            yield* faults.set({ startRuns: starts })
            const watches = [yield* open(), yield* open()] as const
            for (const watch of [watches[closesFirst], watches[1 - closesFirst]]) {
              yield* TestClock.adjust("1 second")
              if (watch !== undefined) yield* forkNow(watch.close())
            }
            yield* TestClock.adjust("2 minutes")
            const before = yield* calls
            yield* TestClock.adjust("10 minutes")
            assert.strictEqual(yield* calls, before)
            yield* faults.heal
            yield* TestClock.adjust("1 minute")
            assert.isUndefined(yield* recordOf(watches[0].run))
          }).pipe(inLab())
      )
    }
  }
})

const endsOnce = Effect.fnUntraced(function* (pause: Pause) {
  const repo = yield* MessageRepo
  const first = yield* openKnown()
  yield* first.watcher.cancel("deadline")
  yield* settle
  const opening = yield* Effect.forkChild(pausing(pause)(open()))
  yield* takeTurns(pause)
  yield* Effect.forkChild(repo.drain({ timeout: 0 }))
  const second = yield* Fiber.join(opening)
  yield* settle
  yield* forkNow(first.close())
  yield* forkNow(second.close())
  yield* TestClock.adjust("2 minutes")
  const isEnded = (yield* recordOf(first.run))?.outcome === "interrupted"
  return isEnded && (yield* linesAt("Error")).length === 0
})
