/** Law 3, where a run ends before a subscriber has come to read its event. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { exitOf, inLab, openKnown, settle } from "./fixture-1.ts"

describe("Law 3: A subscriber that is slow", () => {
  const budgets = Array.from({ length: 18 }, (_, index) => index + 3)
  const pauses = Array.from({ length: 12 }, (_, index) => index)

  it.effect("gets the event of a run that ends at once when it is stopped", () =>
    Effect.gen(function* () {
      const missed: Array<string> = []
      for (const budget of budgets) {
        for (const pause of pauses) {
          const { close, watcher } = yield* openKnown({ name: `${budget}-${pause}` })
          const subscriber = yield* Effect.forkChild(
            Effect.provideService(
              Stream.runCount(watcher.events),
              References.MaxOpsBeforeYield,
              budget
            )
          )
          yield* Effect.forEach(Array.from({ length: pause }), () => Effect.yieldNow)
          yield* watcher.cancel("deadline")
          yield* close()
          yield* Effect.andThen(settle, settle)
          if ((yield* exitOf(subscriber)) !== 1)
            missed.push(`${budget} operations, ${pause} yields`)
        }
      }
      assert.deepStrictEqual(missed, [])
    }).pipe(inLab())
  )
})
