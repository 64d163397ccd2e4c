import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { RunOutcome, runKey, StopIntent, UserId } from "effect-cancellation"
import {
  aims,
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
  stopOfChat,
  stopOfMessage,
  stopOfRun,
  stopperOf
} from "./contract.ts"

export const stops = ({ group }: Contract) => {
  group("requestStop", (test) => {
    for (const [aim, target] of aims) {
      test(
        ["runs", "stops"],
        `records a stop aimed at a ${aim} with its actor, reason and note`,
        (store) =>
          Effect.gen(function* () {
            const run = freshRun()
            yield* start(store, run)
            const intent = StopIntent.make({
              reason: "other:budget.used-up",
              requestedBy: UserId.make("ada"),
              note: "'\"; -- \\ %_ \n\t😀".padEnd(500, "é")
            })
            const receipt = only(yield* store.requestStop(target(run), intent))
            if (receipt._tag !== "Requested") return assert.fail(receipt._tag)
            assert.strictEqual(runKey(receipt.run), runKey(run))
            const { userAbortedAt, ...said } = receipt.request
            assert.deepStrictEqual(said, { ...intent })
            const { requests } = yield* store.stopRequests([run])
            assert.deepStrictEqual({ ...only(requests).request }, { userAbortedAt, ...intent })
          })
      )

      test(
        ["runs", "stops"],
        `keeps the first actor and time of a ${aim} that is stopped twice`,
        (store) =>
          Effect.gen(function* () {
            const run = freshRun()
            yield* start(store, run)
            const first = yield* stop(store, target(run), "ada")
            yield* clockTicks(store)
            const second = yield* stop(store, target(run), "bob")
            assert.deepStrictEqual(second, first)
            assert.strictEqual(yield* stopperOf(store, run), "ada")
          })
      )
    }

    test(["runs", "stops"], "records no actor and no note where none is given", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* start(store, run)
        yield* store.requestStop(stopOfRun(run), StopIntent.make({ reason: "deadline" }))
        const { request } = only((yield* store.stopRequests([run])).requests)
        assert.deepStrictEqual(Object.keys(request).toSorted(), ["reason", "userAbortedAt"])
        assert.strictEqual(request.reason, "deadline")
      })
    )

    test(
      ["runs", "stops"],
      "answers how far the stop has come: requested, observed, ended",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          assert.strictEqual((yield* stop(store, stopOfRun(run)))._tag, "Requested")
          yield* store.advanceRuns([{ run, to: "observed" }])
          assert.strictEqual((yield* stop(store, stopOfRun(run)))._tag, "Observed")
          yield* store.advanceRuns([{ run, to: "interrupted" }])
          const ended = yield* stop(store, stopOfRun(run), "bob")
          if (ended._tag !== "Ended") return assert.fail(ended._tag)
          assert.deepStrictEqual(
            [ended.outcome, ended.request.requestedBy],
            ["interrupted", "somebody"]
          )
          assert.isDefined(ended.observedAt)
        })
    )

    for (const outcome of RunOutcome.literals) {
      test(
        ["runs", "stops"],
        `is too late for a run that is ${outcome}, and writes nothing`,
        (store) =>
          Effect.gen(function* () {
            const run = freshRun()
            yield* start(store, run)
            const ended = only(yield* store.advanceRuns([{ run, to: outcome }]))
            for (const [, target] of aims) {
              const receipt = yield* stop(store, target(run))
              if (receipt._tag !== "TooLate") return assert.fail(receipt._tag)
              assert.deepStrictEqual(
                [runKey(receipt.run), receipt.outcome, receipt.endedAt, receipt.request],
                [runKey(run), outcome, ended.endedAt, undefined]
              )
            }
            assert.deepStrictEqual(standing(yield* recordOf(store, run)), standing(ended))
            assert.isUndefined(yield* stopperOf(store, run))
            // nothing waits for the next one either
            assert.isUndefined((yield* start(store, runOf(run.ref))).request)
          })
      )
    }

    test(
      ["runs", "stops"],
      "answers TooLate with the stop that a completed run did not see",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          yield* stop(store, stopOfRun(run), "ada")
          yield* store.advanceRuns([{ run, to: "completed" }])
          const receipt = yield* stop(store, stopOfRun(run), "bob")
          if (receipt._tag !== "TooLate") return assert.fail(receipt._tag)
          assert.deepStrictEqual(
            [receipt.outcome, receipt.request?.requestedBy],
            ["completed", "ada"]
          )
        })
    )

    test(["runs", "stops"], "answers Superseded for an older run, and stops neither", (store) =>
      Effect.gen(function* () {
        const older = freshRun()
        const newer = runOf(older.ref)
        yield* start(store, older)
        yield* start(store, newer)
        const receipt = yield* stop(store, stopOfRun(older))
        if (receipt._tag !== "Superseded") return assert.fail(receipt._tag)
        assert.strictEqual(runKey(receipt.run), runKey(older))
        assert.isUndefined(yield* stopperOf(store, older))
        assert.isUndefined(yield* stopperOf(store, newer))
      })
    )

    test(["runs", "stops"], "stops the current run of a message, not an older one", (store) =>
      Effect.gen(function* () {
        const older = freshRun()
        const newer = runOf(older.ref)
        yield* start(store, older)
        yield* start(store, newer)
        const receipt = yield* stop(store, stopOfMessage(older), "ada")
        if (receipt._tag !== "Requested") return assert.fail(receipt._tag)
        assert.strictEqual(runKey(receipt.run), runKey(newer))
        assert.strictEqual(yield* stopperOf(store, newer), "ada")
        assert.isUndefined(yield* stopperOf(store, older))
      })
    )
  })

  group("requestStop of a chat", (test) => {
    test(
      ["runs", "stops"],
      "stops all that runs in it, a receipt each, and nothing elsewhere",
      (store) =>
        Effect.gen(function* () {
          const where = freshChat()
          const older = freshRun(where)
          const running = [runOf(older.ref), freshRun(where), freshRun(where)]
          const ended = freshRun(where)
          const elsewhere = freshRun({ ...freshChat(), chatId: where.chatId })
          yield* store.startRuns([older, ...running, ended, elsewhere])
          yield* store.advanceRuns([{ run: ended, to: "completed" }])
          const receipts = yield* store.requestStop(
            stopOfChat(ended),
            StopIntent.make({ reason: "user" })
          )
          const stopped = receipts.flatMap((receipt) =>
            receipt._tag === "Requested" ? [receipt.run] : []
          )
          assert.strictEqual(receipts.length, running.length)
          assert.deepStrictEqual(runKeys(stopped), runKeys(running))
          const look = yield* store.stopRequests([older, ...running, ended, elsewhere])
          assert.deepStrictEqual(runKeys(look.requests.map(({ run }) => run)), runKeys(running))
        })
    )

    test(
      ["runs", "stops"],
      "is too late for a run that has just ended, and spares the next",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          yield* store.advanceRuns([{ run, to: "completed" }])
          const receipt = yield* stop(store, stopOfChat(run))
          if (receipt._tag !== "TooLate") return assert.fail(receipt._tag)
          assert.strictEqual(runKey(receipt.run), runKey(run))
          const next = freshRun({ ...freshChat(), ...run.ref })
          assert.isUndefined((yield* start(store, next)).request)
        })
    )
  })
}
