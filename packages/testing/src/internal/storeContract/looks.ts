import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { RunId, Run, runKey } from "effect-cancellation"
import {
  type Contract,
  freshChat,
  freshRun,
  runKeys,
  runOf,
  stop,
  stopOfMessage,
  stopOfRun,
  start,
  stopperOf
} from "./contract.ts"

export const looks = ({ group }: Contract) =>
  group("stopRequests", (test) => {
    test(["runs", "stops"], "finds the stop of the run it was asked of, and of no other", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const stopped = freshRun(where)
        const neighbour = freshRun(where)
        yield* store.startRuns([stopped, neighbour])
        yield* stop(store, stopOfRun(stopped), "ada")
        const look = yield* store.stopRequests([neighbour, stopped])
        assert.deepStrictEqual(
          look.requests.map(({ request, run }) => [runKey(run), request.requestedBy]),
          [[runKey(stopped), "ada"]]
        )
        assert.deepStrictEqual([look.gone, look.lost, look.failures], [[], [], []])
      })
    )

    test(
      ["runs", "stops"],
      "finds the stop of one run of a message, and not of the next",
      (store) =>
        Effect.gen(function* () {
          const older = freshRun()
          const newer = runOf(older.ref)
          yield* start(store, older)
          yield* stop(store, stopOfMessage(older), "ada")
          yield* start(store, newer)
          assert.strictEqual(yield* stopperOf(store, older), "ada")
          assert.isUndefined(yield* stopperOf(store, newer))
        })
    )

    test(["runs"], "answers a run it does not know as gone", (store) =>
      Effect.gen(function* () {
        const known = freshRun()
        yield* start(store, known)
        const unknown = [
          freshRun(),
          runOf(known.ref),
          Run.make({ ...freshRun(), runId: known.runId })
        ]
        const look = yield* store.stopRequests([known, ...unknown])
        assert.deepStrictEqual(runKeys(look.gone), runKeys(unknown))
        assert.deepStrictEqual([look.requests, look.lost, look.failures], [[], [], []])
      })
    )

    test(["runs"], "answers an empty question", (store) =>
      Effect.gen(function* () {
        const look = yield* store.stopRequests([])
        assert.deepStrictEqual(
          [look.requests, look.gone, look.lost, look.failures],
          [[], [], [], []]
        )
        assert.isTrue(Number.isFinite(look.now))
      })
    )

    test(
      ["runs", "stops"],
      "answers 2,500 runs at once, in whichever order they are asked",
      (store) =>
        Effect.gen(function* () {
          const where = freshChat()
          const runs = Array.from({ length: 2500 }, () => freshRun(where))
          const started = runs.filter((_, index) => index % 5 !== 0)
          for (let from = 0; from < started.length; from += 1000) {
            yield* store.startRuns(started.slice(from, from + 1000))
          }
          const stopped = started.filter((_, index) => index % 100 === 0)
          yield* Effect.forEach(stopped, (run) => stop(store, stopOfRun(run)), { concurrency: 8 })
          for (const asked of [runs, runs.toReversed()]) {
            const look = yield* store.stopRequests(asked)
            assert.deepStrictEqual(runKeys(look.requests.map(({ run }) => run)), runKeys(stopped))
            assert.deepStrictEqual(
              runKeys(look.gone),
              runKeys(runs.filter((_, index) => index % 5 === 0))
            )
          }
        })
    )

    test(["runs", "stops"], "still finds the stop of a run that has ended", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* start(store, run)
        yield* stop(store, stopOfRun(run), "ada")
        yield* store.advanceRuns([{ run, to: "stopped" }])
        assert.strictEqual(yield* stopperOf(store, run), "ada")
      })
    )

    test(["runs"], "says nothing of a run that runs or ended unstopped", (store) =>
      Effect.gen(function* () {
        const running = freshRun()
        const ended = Run.make({ ref: freshRun().ref, runId: RunId.make(running.runId) })
        yield* store.startRuns([running, ended])
        yield* store.advanceRuns([{ run: ended, to: "completed" }])
        const look = yield* store.stopRequests([running, ended])
        assert.deepStrictEqual(
          [look.requests, look.gone, look.lost, look.failures],
          [[], [], [], []]
        )
      })
    )
  })
