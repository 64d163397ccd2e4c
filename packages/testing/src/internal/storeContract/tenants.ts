import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  ChatId,
  CompanyId,
  defaultTenant,
  ForgetQuery,
  MessageId,
  MessageRef,
  Run,
  RunId,
  runKey,
  RunQuery,
  UserId
} from "effect-cancellation"
import {
  aims,
  by,
  type Contract,
  freshChat,
  freshId,
  freshRun,
  recordOf,
  standing,
  start,
  stop,
  stopOfRun,
  stopperOf
} from "./contract.ts"

/** The same ids, but for one. */
const foreign: ReadonlyArray<readonly [string, (run: Run) => Run]> = [
  ["company", (run) => elsewhere(run, { companyId: CompanyId.make(freshId()) })],
  ["user", (run) => elsewhere(run, { userId: UserId.make(freshId()) })],
  ["chat", (run) => elsewhere(run, { chatId: ChatId.make(freshId()) })],
  ["default company", ({ ref: { companyId: _, ...ref }, runId }) => same(ref, runId)],
  ["default user", ({ ref: { userId: _, ...ref }, runId }) => same(ref, runId)]
]

const same = (ref: Parameters<typeof MessageRef.make>[0], runId: RunId) =>
  Run.make({ ref: MessageRef.make(ref), runId })

const elsewhere = ({ ref, runId }: Run, place: Partial<ReturnType<typeof freshChat>>) =>
  same({ ...ref, ...place }, runId)

export const tenants = ({ group }: Contract) => {
  for (const [what, twinOf] of foreign) {
    group(`the same ids in another place (${what})`, (test) => {
      test(["runs", "stops"], "are another run: each has its own stop", (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          const twin = twinOf(run)
          assert.deepStrictEqual((yield* start(store, run)).current, true)
          const before = yield* store.stopRequests([twin])
          assert.deepStrictEqual(before.gone.map(runKey), [runKey(twin)])
          yield* start(store, twin)
          assert.isTrue((yield* recordOf(store, run)).current)
          yield* stop(store, stopOfRun(run), "ada")
          assert.isUndefined(yield* stopperOf(store, twin))
          yield* stop(store, stopOfRun(twin), "bob")
          assert.strictEqual(yield* stopperOf(store, run), "ada")
          assert.strictEqual(yield* stopperOf(store, twin), "bob")
        })
      )

      for (const [aim, target] of aims) {
        test(["runs", "stops"], `are not stopped by a stop of that ${aim}`, (store) =>
          Effect.gen(function* () {
            const run = freshRun()
            yield* start(store, run)
            yield* stop(store, target(twinOf(run)))
            assert.isUndefined(yield* stopperOf(store, run))
          })
        )

        test(["runs", "stops"], `do not take up the stop that waits for that ${aim}`, (store) =>
          Effect.gen(function* () {
            const run = freshRun()
            yield* stop(store, target(twinOf(run)))
            assert.isUndefined((yield* start(store, run)).request)
          })
        )
      }

      test(["runs"], "are not ended by the end of that run", (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          const before = yield* start(store, run)
          const changed = yield* store.advanceRuns([{ run: twinOf(run), to: "completed" }])
          assert.deepStrictEqual(changed, [])
          assert.deepStrictEqual(standing(yield* recordOf(store, run)), standing(before))
        })
      )

      test(["runs", "find"], "are not found there", (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          const { ref } = twinOf(run)
          assert.deepStrictEqual(
            yield* store.findRuns(RunQuery.cases.Refs.make({ refs: [ref] })),
            []
          )
          const { messageId: _messageId, ...chat } = ref
          // narrowed by user, because without one a chat's runs of all users are meant
          const query = RunQuery.cases.Chat.make({ ...chat, userId: userOf(ref) })
          assert.deepStrictEqual(yield* store.findRuns(query), [])
        })
      )

      test(["runs", "erasure"], "are not forgotten with that chat", (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          const { messageId: _messageId, ...chat } = twinOf(run).ref
          const query = ForgetQuery.cases.Chat.make({ ...chat, userId: userOf(chat) })
          assert.strictEqual(yield* store.forget(query), 0)
          assert.deepStrictEqual((yield* store.stopRequests([run])).gone, [])
        })
      )
    })
  }

  group("tenants", (test) => {
    test(
      ["runs", "find"],
      "are not found in another company, nor as another of its users",
      (store) =>
        Effect.gen(function* () {
          const { companyId, userId } = freshChat()
          const run = freshRun({ ...freshChat(), companyId, userId })
          yield* start(store, run)
          const { Company } = RunQuery.cases
          assert.lengthOf(yield* store.findRuns(Company.make({ companyId, userId })), 1)
          const stranger = UserId.make(freshId())
          assert.lengthOf(yield* store.findRuns(Company.make({ companyId, userId: stranger })), 0)
          const other = CompanyId.make(freshId())
          assert.lengthOf(yield* store.findRuns(Company.make({ companyId: other, userId })), 0)
          assert.lengthOf(yield* store.findRuns(Company.make({ userId })), 0)
        })
    )

    test(["runs", "erasure"], "are forgotten only as the user of their own company", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        const { companyId, userId } = { ...freshChat(), ...run.ref }
        yield* start(store, run)
        const { User } = ForgetQuery.cases
        const other = CompanyId.make(freshId())
        assert.strictEqual(yield* store.forget(User.make({ companyId: other, userId })), 0)
        assert.strictEqual(yield* store.forget(User.make({ userId })), 0)
        assert.strictEqual(yield* store.forget(User.make({ companyId, userId })), 1)
      })
    )

    test(["runs", "stops"], "are `default` where none is named, for company and user", (store) =>
      Effect.gen(function* () {
        const chatId = ChatId.make(freshId())
        const messageId = MessageId.make(freshId())
        const runId = RunId.make(freshId())
        const unnamed = same({ chatId, messageId }, runId)
        const named = same(
          {
            companyId: CompanyId.make(defaultTenant),
            userId: UserId.make(defaultTenant),
            chatId,
            messageId
          },
          runId
        )
        yield* start(store, unnamed)
        const receipts = yield* store.requestStop(stopOfRun(named), by("ada"))
        assert.deepStrictEqual(
          receipts.map(({ _tag }) => _tag),
          ["Requested"]
        )
        assert.strictEqual(yield* stopperOf(store, unnamed), "ada")
        assert.strictEqual(yield* stopperOf(store, named), "ada")
      })
    )
  })
}

const userOf = (place: { readonly userId?: UserId }): UserId =>
  place.userId ?? UserId.make(defaultTenant)
