import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ProcessId, type Run, runKey } from "effect-cancellation"
import {
  type Contract,
  freshChat,
  freshLease,
  freshRun,
  longLease,
  recordOf,
  standing,
  start,
  stop,
  stopOfRun,
  type Store,
  stopperOf,
  timeOf,
  timePasses
} from "./contract.ts"

/** Sweeps, and answers those of the runs that were marked. */
const sweptOf = (store: Store, ...runs: ReadonlyArray<Run>) =>
  Effect.map(store.sweepLost, (records) => {
    const keys = new Set(records.map(({ run }) => runKey(run)))
    return runs.filter((run) => keys.has(runKey(run)))
  })

export const leases = ({ group }: Contract, leaseTtl: Duration.Duration) => {
  const shortLease = () => freshLease(leaseTtl)

  const expire = Effect.fnUntraced(function* (store: Store) {
    yield* timePasses(store, (yield* timeOf(store)) + Duration.toMillis(leaseTtl))
  })

  const renewFor = (store: Store, owner: ProcessId) =>
    store.renewLease({ owner, ttl: Duration.hours(1) })

  group("leases", (test) => {
    test(["runs", "leases"], "never sweep a run whose owner's lease is live", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* store.startRuns([run], longLease())
        assert.deepStrictEqual(yield* sweptOf(store, run), [])
        assert.isUndefined((yield* recordOf(store, run)).outcome)
        assert.deepStrictEqual((yield* store.stopRequests([run])).lost, [])
      })
    )

    test(["runs", "leases"], "mark a run lost when its owner's lease has expired, once", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const lease = shortLease()
        yield* store.startRuns([run], lease)
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, run), [run])
        const record = yield* recordOf(store, run)
        assert.deepStrictEqual([record.outcome, record.owner], ["lost", lease.owner])
        assert.isDefined(record.endedAt)
        assert.deepStrictEqual((yield* store.stopRequests([run])).lost.map(runKey), [runKey(run)])
        assert.deepStrictEqual(yield* sweptOf(store, run), [])
      })
    )

    test(["runs", "leases"], "are renewed by renewLease", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const lease = shortLease()
        yield* store.startRuns([run], lease)
        yield* renewFor(store, lease.owner)
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, run), [])
        assert.isUndefined((yield* recordOf(store, run)).outcome)
      })
    )

    test(["runs", "leases"], "are renewed by the owner's next start", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const lease = shortLease()
        yield* store.startRuns([run], lease)
        yield* store.startRuns([freshRun()], { owner: lease.owner, ttl: Duration.hours(1) })
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, run), [])
      })
    )

    test(["runs", "leases"], "cover all the runs of a process, whenever they started", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const lease = shortLease()
        const early = freshRun(where)
        const late = freshRun(where)
        yield* store.startRuns([early], lease)
        yield* store.startRuns([late], lease)
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, early, late), [early, late])
      })
    )

    test(
      ["runs", "leases"],
      "of one process are its own: another's sweep leaves its runs",
      (store) =>
        Effect.gen(function* () {
          const where = freshChat()
          const alive = freshRun(where)
          const dead = freshRun(where)
          yield* store.startRuns([alive], longLease())
          yield* store.startRuns([dead], shortLease())
          yield* expire(store)
          yield* renewFor(store, longLease().owner)
          assert.deepStrictEqual(yield* sweptOf(store, alive, dead), [dead])
          assert.isUndefined((yield* recordOf(store, alive)).outcome)
        })
    )

    test(["runs", "leases"], "follow a run to the process that takes it over", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const saved = freshRun(where)
        const doomed = freshRun(where)
        const dying = shortLease()
        const living = longLease()
        yield* store.startRuns([saved], dying)
        yield* store.startRuns([doomed], living)
        yield* store.startRuns([saved], living)
        yield* store.startRuns([doomed], dying)
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, saved, doomed), [doomed])
      })
    )

    test(["runs", "leases"], "leave alone what has no owner and what has ended", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const lease = shortLease()
        const ownerless = freshRun(where)
        const ended = freshRun(where)
        yield* start(store, ownerless)
        yield* store.startRuns([ended], lease)
        const [before] = yield* store.advanceRuns([{ run: ended, to: "completed" }])
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, ownerless, ended), [])
        assert.isUndefined((yield* recordOf(store, ownerless)).outcome)
        assert.deepStrictEqual(standing(yield* recordOf(store, ended)), before && standing(before))
      })
    )

    test(["runs", "leases", "stops"], "refuse the late writes of a run that is lost", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const lease = shortLease()
        yield* store.startRuns([run], lease)
        yield* expire(store)
        yield* store.sweepLost
        const lost = standing(yield* recordOf(store, run))
        assert.strictEqual(lost.outcome, "lost")
        yield* renewFor(store, lease.owner)
        for (const to of ["observed", "completed", "stopped"] as const) {
          const [record] = yield* store.advanceRuns([{ run, to }])
          assert.deepStrictEqual(record && standing(record), lost)
        }
        assert.deepStrictEqual(standing(yield* start(store, run)), lost)
        const [again] = yield* store.startRuns([run], longLease())
        assert.deepStrictEqual(again && standing(again), lost)
        const receipt = yield* stop(store, stopOfRun(run))
        if (receipt._tag !== "TooLate") return assert.fail(receipt._tag)
        assert.strictEqual(receipt.outcome, "lost")
      })
    )

    test(["runs", "leases", "stops"], "keep the stop of a run that is lost", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* store.startRuns([run], shortLease())
        yield* stop(store, stopOfRun(run), "ada")
        yield* expire(store)
        assert.deepStrictEqual(yield* sweptOf(store, run), [run])
        const record = yield* recordOf(store, run)
        assert.deepStrictEqual([record.outcome, record.request?.requestedBy], ["lost", "ada"])
        assert.isUndefined(record.observedAt)
        assert.strictEqual(yield* stopperOf(store, run), "ada")
        assert.strictEqual((yield* stop(store, stopOfRun(run)))._tag, "Ended")
      })
    )

    test(["runs", "leases"], "let one of two sweeps at the same time mark a run", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* store.startRuns([run], shortLease())
        yield* expire(store)
        const sweeps = yield* Effect.all(
          Array.from({ length: 5 }, () => sweptOf(store, run)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(sweeps.flat().length, 1)
      })
    )
  })
}
