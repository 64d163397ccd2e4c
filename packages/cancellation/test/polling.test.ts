/** Law 15: whoever is watched is looked at, also where one run begins as the last one ends. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import { TestClock } from "effect/testing"
import { makePolling } from "../src/internal/polling.ts"
import { settle } from "./fixture-1.ts"

describe("Law 15: Polling that ends", () => {
  /** Whether there are ticks for what is watched again so many turns after the last was watched. */
  const isPolledAfter = (turns: number) =>
    Effect.gen(function* () {
      let isIdle = false
      let ticks = 0
      const polling = makePolling({
        scope: yield* Effect.scope,
        context: yield* Effect.context<never>(),
        isIdle: () => isIdle,
        look: Effect.sync(() => void ticks++)
      })
      yield* polling.want(Duration.seconds(1))
      yield* settle
      isIdle = true
      yield* polling.update()
      for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
      isIdle = false
      yield* polling.update()
      yield* settle
      yield* TestClock.adjust("5 seconds")
      return ticks > 0
    }).pipe(Effect.scoped)

  it.effect("goes on for a run that begins meanwhile, wherever its fiber pauses", () =>
    Effect.gen(function* () {
      const missed: Array<{ readonly budget: number; readonly turns: number }> = []
      for (let budget = 3; budget <= 20; budget++) {
        for (let turns = 0; turns < 12; turns++) {
          const isPolled = yield* isPolledAfter(turns).pipe(
            Effect.provideService(References.MaxOpsBeforeYield, budget)
          )
          if (!isPolled) missed.push({ budget, turns })
        }
      }
      assert.deepStrictEqual(missed, [])
    })
  )
})
