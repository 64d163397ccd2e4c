import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { RunOutcome, runKey } from "effect-cancellation"
import {
  clockTicks,
  type Contract,
  freshChat,
  freshRun,
  longLease,
  only,
  recordOf,
  runKeys,
  runOf,
  standing,
  start,
  stop,
  stopOfMessage,
  stopOfRun
} from "./contract.ts"

export const starts = ({ group }: Contract) =>
  group("startRuns", (test) => {
    test(["runs"], "starts a new run current and clean", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const record = yield* start(store, run)
        assert.deepStrictEqual(standing(record), {
          run: runKey(run),
          owner: undefined,
          startedAt: record.startedAt,
          current: true,
          request: undefined,
          observedAt: undefined,
          endedAt: undefined,
          outcome: undefined
        })
        assert.isTrue(Number.isFinite(record.startedAt))
      })
    )

    test(
      ["runs", "stops"],
      "makes a newer run current and clean, and the older not current",
      (store) =>
        Effect.gen(function* () {
          const older = freshRun()
          const newer = runOf(older.ref)
          yield* start(store, older)
          yield* stop(store, stopOfRun(older))
          const record = yield* start(store, newer)
          assert.deepStrictEqual([record.current, record.request], [true, undefined])
          const before = yield* recordOf(store, older)
          assert.strictEqual(before.current, false)
          assert.strictEqual(before.request?.requestedBy, "somebody")
        })
    )

    test(
      ["runs", "stops"],
      "leaves a run that starts again as it stands, its stop included",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          yield* stop(store, stopOfRun(run), "ada")
          const [observed] = yield* store.advanceRuns([{ run, to: "observed" }])
          yield* clockTicks(store)
          const again = yield* start(store, run)
          assert.strictEqual(again.request?.requestedBy, "ada")
          assert.deepStrictEqual(standing(again), observed && standing(observed))
        })
    )

    test(["runs"], "does not start again what has ended, whichever way", (store) =>
      Effect.gen(function* () {
        for (const to of RunOutcome.literals) {
          const run = freshRun()
          yield* start(store, run)
          const ended = only(yield* store.advanceRuns([{ run, to }]))
          yield* clockTicks(store)
          assert.deepStrictEqual(standing(yield* start(store, run)), standing(ended))
        }
      })
    )

    test(["runs"], "leaves the newer run current when the older is delivered again", (store) =>
      Effect.gen(function* () {
        const older = freshRun()
        const newer = runOf(older.ref)
        yield* start(store, older)
        yield* start(store, newer)
        assert.strictEqual((yield* start(store, older)).current, false)
        assert.strictEqual((yield* recordOf(store, newer)).current, true)
      })
    )

    test(["runs"], "starts 1,000 runs at once and answers each of them", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const runs = Array.from({ length: 1000 }, () => freshRun(where))
        const records = yield* store.startRuns(runs)
        assert.deepStrictEqual(runKeys(records.map(({ run }) => run)), runKeys(runs))
        assert.isTrue(records.every(({ current }) => current))
        assert.deepStrictEqual(yield* store.startRuns([]), [])
      })
    )

    test(["runs"], "starts two runs of one message in one call: the later is current", (store) =>
      Effect.gen(function* () {
        const older = freshRun()
        const newer = runOf(older.ref)
        yield* store.startRuns([older, newer])
        assert.strictEqual((yield* recordOf(store, older)).current, false)
        assert.strictEqual((yield* recordOf(store, newer)).current, true)
      })
    )

    test(["runs", "stops"], "takes one run twice in one call for one run", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const records = yield* store.startRuns([run, freshRun(), run])
        const same = records.filter((record) => runKey(record.run) === runKey(run))
        assert.isNotEmpty(same)
        assert.isTrue(same.every(({ current }) => current))
        const receipt = yield* stop(store, stopOfMessage(run))
        assert.strictEqual(receipt._tag, "Requested")
      })
    )

    test(
      ["runs", "leases"],
      "gives a run to the owner that starts it, and to the next that does",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          const first = longLease()
          const second = longLease()
          assert.strictEqual(only(yield* store.startRuns([run], first)).owner, first.owner)
          const taken = only(yield* store.startRuns([run], second))
          assert.strictEqual(taken.owner, second.owner)
          assert.strictEqual((yield* recordOf(store, run)).owner, second.owner)
        })
    )

    test(["runs", "leases"], "leaves a run that has ended to the owner it had", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const first = longLease()
        yield* store.startRuns([run], first)
        yield* store.advanceRuns([{ run, to: "completed" }])
        assert.strictEqual(only(yield* store.startRuns([run], longLease())).owner, first.owner)
      })
    )
  })
