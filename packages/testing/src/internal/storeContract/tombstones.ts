import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  aims,
  clockTicks,
  type Contract,
  freshChat,
  freshRun,
  runOf,
  start,
  stop,
  stopOfChat,
  stopOfMessage,
  stopOfRun,
  stopperOf,
  timePasses
} from "./contract.ts"

/** A stop that waits for a run that has not begun. */
export const tombstones = ({ group }: Contract, tombstoneTtl: Duration.Duration) =>
  group("a stop of what has not begun", (test) => {
    for (const [aim, target] of aims) {
      test(
        ["runs", "stops"],
        `waits for the ${aim}, is taken up by its run, and by no later one`,
        (store) =>
          Effect.gen(function* () {
            const run = freshRun()
            const receipt = yield* stop(store, target(run), "ada")
            if (receipt._tag !== "Pending") return assert.fail(receipt._tag)
            assert.strictEqual(receipt.target._tag, target(run)._tag)
            assert.strictEqual(
              receipt.expiresAt - receipt.request.userAbortedAt,
              Duration.toMillis(tombstoneTtl)
            )
            const record = yield* start(store, run)
            assert.deepStrictEqual({ ...record.request }, { ...receipt.request })
            assert.strictEqual(yield* stopperOf(store, run), "ada")
            assert.strictEqual((yield* start(store, run)).request?.requestedBy, "ada")
            assert.isUndefined((yield* start(store, runOf(run.ref))).request)
            assert.isUndefined((yield* start(store, sibling(run.ref))).request)
          })
      )

      test(["runs", "stops"], `is one stop if the ${aim} is stopped twice: the first`, (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          const first = yield* stop(store, target(run), "ada")
          yield* clockTicks(store)
          const second = yield* stop(store, target(run), "bob")
          assert.deepStrictEqual(second, first)
          assert.strictEqual((yield* start(store, run)).request?.requestedBy, "ada")
        })
      )
    }

    test(
      ["runs", "stops"],
      "is one stop if it was aimed in several ways: the first, and none is left for later",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* stop(store, stopOfChat(run), "ada")
          yield* clockTicks(store)
          yield* stop(store, stopOfRun(run), "bob")
          yield* clockTicks(store)
          yield* stop(store, stopOfMessage(run), "cyd")
          assert.strictEqual((yield* start(store, run)).request?.requestedBy, "ada")
          assert.isUndefined((yield* start(store, runOf(run.ref))).request)
          assert.isUndefined((yield* start(store, sibling(run.ref))).request)
        })
    )

    test(["runs", "stops"], "waits for its message, and spares another of the chat", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* stop(store, stopOfMessage(run), "ada")
        assert.isUndefined((yield* start(store, sibling(run.ref))).request)
        assert.strictEqual((yield* start(store, run)).request?.requestedBy, "ada")
      })
    )

    test(["runs", "stops"], "waits for its run, and spares another of the message", (store) =>
      Effect.gen(function* () {
        const running = freshRun()
        const coming = runOf(running.ref)
        yield* start(store, running)
        const receipt = yield* stop(store, stopOfRun(coming), "ada")
        assert.strictEqual(receipt._tag, "Pending")
        assert.isUndefined((yield* start(store, running)).request)
        assert.isUndefined(yield* stopperOf(store, running))
        assert.isUndefined((yield* start(store, runOf(running.ref))).request)
        assert.strictEqual((yield* start(store, coming)).request?.requestedBy, "ada")
      })
    )

    test(["runs", "stops"], "is not seen by stopRequests before the run begins", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* stop(store, stopOfRun(run))
        const look = yield* store.stopRequests([run])
        assert.deepStrictEqual([look.requests.length, look.gone.length], [0, 1])
      })
    )

    test(["runs", "stops"], "is taken up once by many runs that start at the same time", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const runs = Array.from({ length: 20 }, () => freshRun(where))
        yield* stop(store, stopOfChat(freshRun(where)))
        const records = yield* Effect.forEach(runs, (run) => start(store, run), {
          concurrency: "unbounded"
        })
        assert.strictEqual(records.filter(({ request }) => request !== undefined).length, 1)
      })
    )

    test(["runs", "stops"], "is taken up once by many runs that start in one call", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const runs = Array.from({ length: 20 }, () => freshRun(where))
        yield* stop(store, stopOfChat(freshRun(where)))
        const records = yield* store.startRuns(runs)
        assert.strictEqual(records.filter(({ request }) => request !== undefined).length, 1)
      })
    )
  })

/** What happens to such a stop when its time is over; for a store in which that time is short. */
export const expiringTombstones = ({ group }: Contract) =>
  group("a stop of what has not begun, after its time", (test) => {
    for (const [aim, target] of aims) {
      test(["runs", "stops"], `is not taken up by the run of the ${aim}`, (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          const receipt = yield* stop(store, target(run), "ada")
          if (receipt._tag !== "Pending") return assert.fail(receipt._tag)
          yield* timePasses(store, receipt.expiresAt)
          assert.isUndefined((yield* start(store, run)).request)
          assert.isUndefined(yield* stopperOf(store, run))
        })
      )

      test(["runs", "stops"], `gives way to a later stop of the ${aim}`, (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          const first = yield* stop(store, target(run), "ada")
          if (first._tag !== "Pending") return assert.fail(first._tag)
          yield* timePasses(store, first.expiresAt)
          const second = yield* stop(store, target(run), "bob")
          if (second._tag !== "Pending") return assert.fail(second._tag)
          assert.strictEqual(second.request.requestedBy, "bob")
          assert.isAbove(second.request.userAbortedAt, first.expiresAt)
        })
      )
    }

    test(["runs", "stops"], "waits again in a chat whose last run ended long ago", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* start(store, run)
        const [ended] = yield* store.advanceRuns([{ run, to: "completed" }])
        // the longest the store can take the run for a recent one is as long as a stop waits
        const probe = yield* stop(store, stopOfRun(freshRun()))
        if (probe._tag !== "Pending") return assert.fail(probe._tag)
        const ttl = probe.expiresAt - probe.request.userAbortedAt
        yield* timePasses(store, (ended?.endedAt ?? Number.NaN) + ttl)
        assert.strictEqual((yield* stop(store, stopOfChat(run)))._tag, "Pending")
      })
    )
  })

const sibling = (ref: ReturnType<typeof freshRun>["ref"]) => freshRun({ ...freshChat(), ...ref })
