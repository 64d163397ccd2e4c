/** Law 11, for what a process would keep of its runs as long as it lives. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { StoreFaults } from "effect-cancellation-testing"
import { inLab, openKnown } from "./fixture-1.ts"

describe("Law 11: Nothing is kept", () => {
  /** Collects the whole heap; what was looked at through a `WeakRef` lives until the next macrotask. */
  const collect = Effect.callback<void>((resume) => {
    setImmediate(() => {
      setFlagsFromString("--expose-gc")
      const gc: unknown = runInNewContext("gc")
      if (typeof gc !== "function") return resume(Effect.die("no way to collect the heap"))
      gc()
      resume(Effect.void)
    })
  })

  it.effect("of runs whose rows were deleted", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const runs: Array<WeakRef<object>> = []
      for (let n = 0; n < 20; n++) {
        yield* Effect.gen(function* () {
          const { close, run, watcher } = yield* openKnown({ name: `run-${n}` })
          runs.push(new WeakRef(run))
          yield* store.forget({ _tag: "Chat", chatId: run.ref.chatId })
          yield* TestClock.adjust("4 seconds")
          assert.isTrue(yield* watcher.isCancelled)
          yield* close()
        })
      }
      // Whatever still has the last one has let go of it by then.
      yield* openKnown({ name: "next" })
      yield* TestClock.adjust("10 seconds")
      yield* collect
      const kept = runs.filter((run) => run.deref() !== undefined)
      assert.isBelow(kept.length, 5)
    }).pipe(inLab())
  )
})
