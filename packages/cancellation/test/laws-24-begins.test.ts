/** Law 24, where a run begins in the very step in which the drain cancels. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import { TestClock } from "effect/testing"
import { MessageRepo } from "../src/index.ts"
import { forkNow, lab, looks, open } from "./fixture-1.ts"

describe("Law 24: A run that begins as the drain cancels", () => {
  const budgets = Array.from({ length: 18 }, (_, index) => index + 3)
  const pauses = Array.from({ length: 12 }, (_, index) => index)

  it.effect("is cancelled, and not looked at while its work winds down", () =>
    Effect.gen(function* () {
      const looked: Array<string> = []
      for (const budget of budgets) {
        for (const pause of pauses) {
          yield* Effect.gen(function* () {
            const repo = yield* MessageRepo
            const opening = yield* Effect.forkChild(
              Effect.provideService(open(), References.MaxOpsBeforeYield, budget)
            )
            yield* Effect.forEach(Array.from({ length: pause }), () => Effect.yieldNow)
            const draining = yield* forkNow(repo.drain({ timeout: 0 }))
            const { close, watcher } = yield* Fiber.join(opening)
            assert.isTrue(yield* watcher.isCancelled)
            yield* TestClock.adjust("10 seconds")
            if ((yield* looks) > 0) looked.push(`${budget} operations, ${pause} yields`)
            yield* close()
            yield* Fiber.join(draining)
          }).pipe(Effect.provide(lab(), { local: true }))
        }
      }
      assert.deepStrictEqual(looked, [])
    })
  )
})
