/** Law 13, where one hint follows on another. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { hintOf, inLab, looks, openKnown } from "./fixture-1.ts"

describe("Law 13: A hint that comes again", () => {
  it.effect("has its looks repeated in place of those of the first, and not beside them", () =>
    Effect.gen(function* () {
      const { run } = yield* openKnown({ pollInterval: "1 hour" })
      yield* hintOf(run)
      yield* TestClock.adjust("50 millis")
      yield* hintOf(run)
      const after: Array<number> = [yield* looks]
      for (const pause of [99, 1, 399, 1, 60_000]) {
        yield* TestClock.adjust(pause)
        after.push(yield* looks)
      }
      assert.deepStrictEqual(after, [2, 2, 3, 3, 4, 4])
    }).pipe(inLab())
  )
})
