/** Law 15: whoever is watched is looked at, also where one run begins as the last one ends. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { makePolling } from "../src/internal/polling.ts"
import { settle } from "./fixture-1.ts"
import { failuresOf, type Pause, pausing, takeTurns } from "./pauses.ts"

describe("Law 15: Polling that ends", () => {
  /** Whether there are ticks for what is watched again so many turns after the last was watched. */
  const isPolledAfter = (pause: Pause) =>
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
      yield* takeTurns(pause)
      isIdle = false
      yield* polling.update()
      yield* settle
      yield* TestClock.adjust("5 seconds")
      return ticks > 0
    }).pipe(Effect.scoped, pausing(pause))

  it.effect("goes on for a run that begins meanwhile, wherever its fiber pauses", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failuresOf(isPolledAfter), [])
    })
  )
})
