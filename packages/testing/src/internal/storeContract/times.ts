import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  clockTicks,
  type Contract,
  freshRun,
  only,
  start,
  stop,
  stopOfRun,
  timeOf
} from "./contract.ts"

export const times = ({ group }: Contract) =>
  group("times", (test) => {
    test(["runs", "stops"], "are the store's own, and never go back", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const seen = [yield* timeOf(store)]
        seen.push((yield* start(store, run)).startedAt)
        seen.push(yield* clockTicks(store))
        const receipt = yield* stop(store, stopOfRun(run))
        if (receipt._tag !== "Requested") return assert.fail(receipt._tag)
        seen.push(receipt.request.userAbortedAt)
        seen.push(yield* clockTicks(store))
        const observed = only(yield* store.advanceRuns([{ run, to: "observed" }]))
        seen.push(observed.observedAt ?? Number.NaN)
        seen.push(yield* clockTicks(store))
        const ended = only(yield* store.advanceRuns([{ run, to: "stopped" }]))
        seen.push(ended.endedAt ?? Number.NaN)
        seen.push(yield* timeOf(store))
        assert.deepStrictEqual(
          seen,
          seen.toSorted((left, right) => left - right)
        )
        assert.isTrue(seen.every((time) => Number.isFinite(time) && time > 0))
        const { request, ...rest } = ended
        assert.deepStrictEqual(
          [rest.startedAt, request?.userAbortedAt, rest.observedAt],
          [seen[1], seen[3], seen[5]]
        )
      })
    )

    test([], "of looks never go back", (store) =>
      Effect.gen(function* () {
        const seen = yield* Effect.forEach(Array.from({ length: 50 }), () => timeOf(store))
        assert.deepStrictEqual(
          seen,
          seen.toSorted((left, right) => left - right)
        )
        assert.isAbove(yield* clockTicks(store), Math.max(...seen))
      })
    )
  })
