/** Law 22, where a process has a name that another one had before. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Fault } from "effect-cancellation-testing"
import { MessageStore } from "../src/index.ts"
import { openProcess, openRun, recordIn, refOf } from "./fixture-2.ts"

describe("Law 22: Namesakes", () => {
  it.effect("a process that starts again under its name calls the runs of its last life lost", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const dead = yield* openProcess(store, "web-0")
      const { run } = yield* openRun(dead.repo, { ref: refOf("dead") })
      yield* TestClock.adjust("1 second")
      // killed: nothing it does reaches the store any more
      yield* dead.faults.set({ all: Fault.fail })
      const again = yield* openProcess(store, "web-0")
      const living = yield* openRun(again.repo, { ref: refOf("living") })
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* recordIn(store, run))?.outcome, "lost")
      assert.isUndefined((yield* recordIn(store, living.run))?.outcome)
      yield* dead.faults.heal
      yield* TestClock.adjust("10 seconds")
    }).pipe(Effect.provide(MessageStore.layerMemory()))
  )

  it.effect("two processes of one name that live side by side lose nothing", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const one = yield* openProcess(store, "web-0")
      const two = yield* openProcess(store, "web-0")
      const a = yield* openRun(one.repo, { ref: refOf("a") })
      const b = yield* openRun(two.repo, { ref: refOf("b") })
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined((yield* recordIn(store, a.run))?.outcome)
      assert.isUndefined((yield* recordIn(store, b.run))?.outcome)
      const owners = [yield* recordIn(store, a.run), yield* recordIn(store, b.run)].map(
        (record) => record?.owner ?? ""
      )
      for (const owner of owners) assert.isTrue(owner.startsWith("web-0"))
      assert.lengthOf(new Set(owners), 2)
    }).pipe(Effect.provide(MessageStore.layerMemory()))
  )
})
