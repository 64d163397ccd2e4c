import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { receiptOf, RunOutcome, runKey, type RunRecord } from "effect-cancellation"
import {
  clockTicks,
  type Contract,
  freshChat,
  freshRun,
  only,
  recordOf,
  runKeys,
  runOf,
  standing,
  start,
  stop,
  stopOfRun
} from "./contract.ts"

const outcomes = RunOutcome.literals
const pairs = outcomes.flatMap((first) => outcomes.map((second) => ({ first, second })))
const impliesObserved = (outcome: RunOutcome) => outcome === "stopped" || outcome === "abandoned"

export const changes = ({ group }: Contract) =>
  group("advanceRuns", (test) => {
    test(
      ["runs"],
      "records each outcome, with its time, and answers the run as it then stands",
      (store) =>
        Effect.gen(function* () {
          for (const outcome of outcomes) {
            const run = freshRun()
            yield* start(store, run)
            const record = only(yield* store.advanceRuns([{ run, to: outcome }]))
            assert.strictEqual(runKey(record.run), runKey(run))
            assert.strictEqual(record.outcome, outcome)
            assert.isAtLeast(record.endedAt ?? Number.NaN, record.startedAt)
            assert.deepStrictEqual(standing(yield* recordOf(store, run)), standing(record))
          }
        })
    )

    test(
      ["runs", "stops"],
      "keeps the first outcome and its time, whichever comes second",
      (store) =>
        Effect.gen(function* () {
          const where = freshChat()
          const cases = pairs.map((pair) => ({ ...pair, run: freshRun(where) }))
          yield* store.startRuns(cases.map(({ run }) => run))
          yield* Effect.forEach(cases, ({ run }) => stop(store, stopOfRun(run)))
          const first = yield* store.advanceRuns(
            cases.map(({ first, run }) => ({ run, to: first }))
          )
          yield* clockTicks(store)
          const second = yield* store.advanceRuns(
            cases.map(({ run, second }) => ({ run, to: second }))
          )
          assert.deepStrictEqual(byRun(second), byRun(first))
          assert.deepStrictEqual(
            cases.map(
              ({ run }) => second.find((record) => runKey(record.run) === runKey(run))?.outcome
            ),
            cases.map(({ first }) => first)
          )
        })
    )

    test(["runs"], "keeps the first of two outcomes that come in one call", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const cases = pairs.map((pair) => ({ ...pair, run: freshRun(where) }))
        yield* store.startRuns(cases.map(({ run }) => run))
        yield* store.advanceRuns(
          cases.flatMap(({ first, run, second }) => [
            { run, to: first },
            { run, to: second }
          ])
        )
        for (const { first, run } of cases) {
          assert.strictEqual((yield* recordOf(store, run)).outcome, first)
        }
      })
    )

    test(["runs", "stops"], "records that a stop was observed, once", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* start(store, run)
        yield* stop(store, stopOfRun(run))
        const first = only(yield* store.advanceRuns([{ run, to: "observed" }]))
        assert.isAtLeast(first.observedAt ?? Number.NaN, first.request?.userAbortedAt ?? Number.NaN)
        assert.isUndefined(first.outcome)
        yield* clockTicks(store)
        const second = only(yield* store.advanceRuns([{ run, to: "observed" }]))
        assert.deepStrictEqual(standing(second), standing(first))
        yield* clockTicks(store)
        const ended = only(yield* store.advanceRuns([{ run, to: "stopped" }]))
        assert.strictEqual(ended.observedAt, first.observedAt)
        assert.isAbove(ended.endedAt ?? Number.NaN, first.observedAt ?? Number.NaN)
      })
    )

    test(["runs"], "does not record that a stop was observed which nobody asked", (store) =>
      Effect.gen(function* () {
        const observed = freshRun()
        const abandoned = freshRun()
        yield* store.startRuns([observed, abandoned])
        yield* store.advanceRuns([
          { run: observed, to: "observed" },
          { run: abandoned, to: "abandoned" }
        ])
        assert.isUndefined((yield* recordOf(store, observed)).observedAt)
        assert.isUndefined((yield* recordOf(store, abandoned)).observedAt)
      })
    )

    test(
      ["runs", "stops"],
      "takes stopped and abandoned for observed, and no other outcome",
      (store) =>
        Effect.gen(function* () {
          for (const outcome of outcomes) {
            const run = freshRun()
            yield* start(store, run)
            yield* stop(store, stopOfRun(run))
            const record = only(yield* store.advanceRuns([{ run, to: outcome }]))
            if (impliesObserved(outcome)) {
              assert.isAtMost(record.observedAt ?? Number.NaN, record.endedAt ?? Number.NaN)
              assert.strictEqual(receiptOf(record)?._tag, "Ended")
            } else {
              assert.isUndefined(record.observedAt, outcome)
              assert.strictEqual(receiptOf(record)?._tag, outcome === "lost" ? "Ended" : "TooLate")
            }
          }
        })
    )

    test(["runs", "stops"], "changes nothing when a stop is observed after an outcome", (store) =>
      Effect.gen(function* () {
        for (const outcome of outcomes) {
          const run = freshRun()
          yield* start(store, run)
          yield* stop(store, stopOfRun(run))
          const ended = only(yield* store.advanceRuns([{ run, to: outcome }]))
          yield* clockTicks(store)
          const after = only(yield* store.advanceRuns([{ run, to: "observed" }]))
          assert.deepStrictEqual(standing(after), standing(ended))
        }
      })
    )

    test(["runs", "stops"], "takes the changes of one call in their order", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const forward = freshRun(where)
        const backward = freshRun(where)
        yield* store.startRuns([forward, backward])
        yield* stop(store, stopOfRun(forward))
        yield* stop(store, stopOfRun(backward))
        yield* store.advanceRuns([
          { run: forward, to: "observed" },
          { run: backward, to: "completed" },
          { run: forward, to: "completed" },
          { run: backward, to: "observed" }
        ])
        assert.isDefined((yield* recordOf(store, forward)).observedAt)
        assert.isUndefined((yield* recordOf(store, backward)).observedAt)
        assert.strictEqual((yield* recordOf(store, forward)).outcome, "completed")
        assert.strictEqual((yield* recordOf(store, backward)).outcome, "completed")
      })
    )

    test(["runs"], "ends an older run without touching the newer", (store) =>
      Effect.gen(function* () {
        const older = freshRun()
        const newer = runOf(older.ref)
        yield* start(store, older)
        const before = yield* start(store, newer)
        const ended = only(yield* store.advanceRuns([{ run: older, to: "interrupted" }]))
        assert.deepStrictEqual([ended.outcome, ended.current], ["interrupted", false])
        assert.deepStrictEqual(standing(yield* recordOf(store, newer)), standing(before))
      })
    )

    test(["runs"], "leaves out a run without a row, and never makes one", (store) =>
      Effect.gen(function* () {
        const known = freshRun()
        const unknown = [freshRun(), runOf(known.ref)]
        yield* start(store, known)
        const records = yield* store.advanceRuns(
          [...unknown, known].flatMap((run) => [
            { run, to: "observed" as const },
            { run, to: "completed" as const }
          ])
        )
        assert.deepStrictEqual(
          new Set(records.map(({ run }) => runKey(run))),
          new Set([runKey(known)])
        )
        const { gone } = yield* store.stopRequests([known, ...unknown])
        assert.deepStrictEqual(runKeys(gone), runKeys(unknown))
        assert.deepStrictEqual(yield* store.advanceRuns([]), [])
      })
    )

    test(["runs"], "ends 1,000 runs at once", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const runs = Array.from({ length: 1000 }, () => freshRun(where))
        yield* store.startRuns(runs)
        const records = yield* store.advanceRuns(
          runs.map((run, index) => ({ run, to: index % 2 === 0 ? "completed" : "failed" }))
        )
        const found = new Map(records.map((record) => [runKey(record.run), record.outcome]))
        assert.deepStrictEqual(
          runs.map((run) => found.get(runKey(run))),
          runs.map((_, index) => (index % 2 === 0 ? "completed" : "failed"))
        )
      })
    )
  })

const byRun = (records: ReadonlyArray<RunRecord>) =>
  records.map(standing).toSorted((left, right) => (left.run < right.run ? -1 : 1))
