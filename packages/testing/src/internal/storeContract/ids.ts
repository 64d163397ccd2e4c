import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  CompanyId,
  ForgetQuery,
  MessageRef,
  ProcessId,
  Run,
  runKey,
  RunQuery,
  UserId
} from "effect-cancellation"
import { pairs, placeOf } from "../hostileIds.ts"
import {
  aims,
  by,
  type Contract,
  freshId,
  longLease,
  only,
  start,
  stop,
  stopOfRun,
  stopperOf
} from "./contract.ts"

/** Every run whose ids are the given ones but for a single one that looks like it. */
const lookalikes = (run: Run, other: Run): ReadonlyArray<Run> => [
  Run.make({ ref: run.ref, runId: other.runId }),
  ...(["companyId", "userId", "chatId", "messageId"] as const).map((field) =>
    Run.make({ ref: MessageRef.make({ ...run.ref, [field]: other.ref[field] }), runId: run.runId })
  )
]

export const ids = ({ group }: Contract) =>
  group("ids", (test) => {
    for (const [title, id, lookalike] of pairs) {
      test(["runs", "stops"], `${title} arrive intact and are taken for no other`, (store) =>
        Effect.gen(function* () {
          // a uuid is 36 characters: with it an id of 219 has the 255 that are allowed
          const prefix = freshId()
          const run = placeOf(prefix + id)
          const others = lookalikes(run, placeOf(prefix + lookalike))
          const record = yield* start(store, run)
          assert.strictEqual(runKey(record.run), runKey(run))
          const { gone } = yield* store.stopRequests([...others, run])
          assert.strictEqual(gone.length, others.length)
          // one by one, so that the run of the message that is asked to stop below is the last
          for (const other of others) yield* start(store, other)
          yield* start(store, run)
          for (const other of others) yield* stop(store, stopOfRun(other))
          assert.isUndefined(yield* stopperOf(store, run))
          const ended = yield* store.advanceRuns(others.map((run) => ({ run, to: "completed" })))
          assert.strictEqual(new Set(ended.map(({ run }) => runKey(run))).size, others.length)
          const again = yield* start(store, run)
          assert.deepStrictEqual([again.request, again.outcome], [undefined, undefined])
        })
      )

      for (const [aim, target] of aims) {
        test(["runs", "stops"], `${title} wait for the ${aim} meant`, (store) =>
          Effect.gen(function* () {
            const prefix = freshId()
            const run = placeOf(prefix + id)
            yield* stop(store, target(placeOf(prefix + lookalike)))
            assert.isUndefined((yield* start(store, run)).request)
          })
        )
      }

      test(["runs", "find", "erasure"], `${title} are found and forgotten exactly`, (store) =>
        Effect.gen(function* () {
          const prefix = freshId()
          const run = placeOf(prefix + id)
          const other = placeOf(prefix + lookalike)
          yield* store.startRuns([run, other])
          const { messageId: _messageId, ...chat } = run.ref
          for (const query of [
            RunQuery.cases.Refs.make({ refs: [run.ref] }),
            RunQuery.cases.Chat.make(chat),
            RunQuery.cases.Company.make({ companyId: CompanyId.make(prefix + id) })
          ]) {
            const found = yield* store.findRuns(query)
            assert.deepStrictEqual(
              found.map(({ run }) => runKey(run)),
              [runKey(run)],
              query._tag
            )
          }
          const forget = ForgetQuery.cases.User.make({
            companyId: CompanyId.make(prefix + id),
            userId: UserId.make(prefix + id)
          })
          assert.strictEqual(yield* store.forget(forget), 1)
          assert.deepStrictEqual((yield* store.stopRequests([other])).gone, [])
        })
      )

      test(["runs", "stops"], `${title} name actors and processes`, (store) =>
        Effect.gen(function* () {
          const name = freshId() + id
          const run = placeOf(name)
          const lease = { ...longLease(), owner: ProcessId.make(name) }
          const record = only(
            yield* store.startRuns([run], store.supports.leases ? lease : undefined)
          )
          assert.strictEqual(record.owner, store.supports.leases ? name : undefined)
          yield* store.requestStop(stopOfRun(run), by(name))
          assert.strictEqual(yield* stopperOf(store, run), name)
        })
      )
    }
  })
