/** Law 3, where a run ends before a subscriber has come to read its event. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { exitOf, inLab, openKnown, settle } from "./fixture-1.ts"
import { failuresOf, pausing, takeTurns } from "./pauses.ts"

describe("Law 3: A subscriber that is slow", () => {
  it.effect("gets the event of a run that ends at once when it is stopped", () =>
    Effect.gen(function* () {
      const missed = yield* failuresOf((pause) =>
        Effect.gen(function* () {
          const { close, watcher } = yield* openKnown({ name: `${pause.budget}-${pause.turns}` })
          const subscriber = yield* Effect.forkChild(
            pausing(pause)(Stream.runCount(watcher.events))
          )
          yield* takeTurns(pause)
          yield* watcher.cancel("deadline")
          yield* close()
          yield* Effect.andThen(settle, settle)
          return (yield* exitOf(subscriber)) === 1
        })
      )
      assert.deepStrictEqual(missed, [])
    }).pipe(inLab())
  )
})
