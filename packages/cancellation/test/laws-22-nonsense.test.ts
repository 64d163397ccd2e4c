/** Law 22, where a store answers what cannot be understood. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { StoreFaults } from "effect-cancellation-testing"
import { MessageStore } from "../src/index.ts"
import { inLab, openKnown } from "./fixture-1.ts"

describe("Law 22: The lease", () => {
  const nonsense = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a bug of the adapter
      MessageStore.of({ ...store, sweepLost: Effect.succeed(undefined as never) })
    )
  ).pipe(Layer.provide(MessageStore.layerMemory()))

  it.effect("goes on behind a sweep whose answer cannot be understood", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* openKnown()
      yield* TestClock.adjust("3 minutes")
      const { calls } = (yield* faults.counts).renewLease
      yield* TestClock.adjust("1 minute")
      assert.isAbove((yield* faults.counts).renewLease.calls, calls)
    }).pipe(inLab({}, nonsense))
  )
})
