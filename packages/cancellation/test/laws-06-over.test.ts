/** Law 6, where a check comes behind the end of its run. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { exitOf, forkNow, inLab, looks, open } from "./fixture-1.ts"

describe("Law 6: A check behind the end of its run", () => {
  it.effect("answers at once, though the start was never sent, and costs no look", () =>
    Effect.gen(function* () {
      const { close, watcher } = yield* open()
      yield* close()
      const check = yield* forkNow(watcher.check)
      assert.isFalse(yield* exitOf(check))
      assert.strictEqual(yield* looks, 0)
    }).pipe(inLab())
  )
})
