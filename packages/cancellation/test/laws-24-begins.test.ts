/** Law 24, where a run begins in the very step in which the drain cancels. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { MessageRepo } from "../src/index.ts"
import { forkNow, inLab, looks, open } from "./fixture-1.ts"
import { failuresOf, pausing, takeTurns } from "./pauses.ts"

describe("Law 24: A run that begins as the drain cancels", () => {
  it.effect("is cancelled, and not looked at while its work winds down", () =>
    Effect.gen(function* () {
      const looked = yield* failuresOf((pause) =>
        Effect.gen(function* () {
          const repo = yield* MessageRepo
          const opening = yield* Effect.forkChild(pausing(pause)(open()))
          yield* takeTurns(pause)
          const draining = yield* forkNow(repo.drain({ timeout: 0 }))
          const { close, watcher } = yield* Fiber.join(opening)
          assert.isTrue(yield* watcher.isCancelled)
          yield* TestClock.adjust("10 seconds")
          const isIdle = (yield* looks) === 0
          yield* close()
          yield* Fiber.join(draining)
          return isIdle
        }).pipe(inLab())
      )
      assert.deepStrictEqual(looked, [])
    })
  )
})
