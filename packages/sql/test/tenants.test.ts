// Whoever asks for another one's runs and texts finds nothing and changes nothing, in any operation.
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import {
  ForgetQuery,
  MessageChange,
  MessageContent,
  MessageQuery,
  type MessageRef,
  MessageStore,
  NewMessage,
  ProcessId,
  Run,
  RunQuery,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import { dumpOf } from "./injection.fixture.ts"
import { newFile } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

const stores = Layer.merge(SqlMessageStore.layer(), SqlMessageContent.layer)
const postgres = stores.pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(Postgres.layer())
)
const sqlite = stores.pipe(Layer.provideMerge(newFile))

type Place = Omit<(typeof Run.Encoded)["ref"], "messageId">

const runIn = (place: Place, runId = "run"): Run =>
  Schema.decodeSync(Run)({ ref: { ...place, messageId: "message" }, runId })

const mine = { companyId: "company", userId: "user", chatId: "chat" }

/** Pairs of places that have all ids in common but one. */
const strangers: ReadonlyArray<readonly [string, Place, Place]> = [
  ["another company", mine, { ...mine, companyId: "other" }],
  ["another user", mine, { ...mine, userId: "other" }],
  ["another chat", mine, { ...mine, chatId: "other" }],
  ["no company", mine, { userId: "user", chatId: "chat" }],
  ["no user", mine, { companyId: "company", chatId: "chat" }],
  ["nobody", mine, { chatId: "chat" }],
  ["the company default", mine, { ...mine, companyId: "default" }],
  ["the user default", mine, { ...mine, userId: "default" }],
  ["somebody, of the default tenant's", { chatId: "chat" }, mine],
  [
    "ids that run together otherwise",
    mine,
    { companyId: "companyu", userId: "ser", chatId: "chat" }
  ],
  ["other capitals", mine, { ...mine, companyId: "Company" }],
  ["a space at the end", mine, { ...mine, userId: "user " }]
]

const intent = StopIntent.make({ reason: "user" })
const chatOf = ({ messageId: _messageId, ...chat }: MessageRef) => chat

/** A run that runs, one that has ended, a stop that waits, and a text. */
const live = Effect.fnUntraced(function* (place: Place) {
  const store = yield* MessageStore
  const content = yield* MessageContent
  const run = runIn(place)
  const { ref } = run
  const lease = { owner: ProcessId.make("process"), ttl: Duration.hours(1) }
  yield* store.requestStop(StopTarget.cases.Run.make({ run: runIn(place, "later") }), intent)
  yield* store.startRuns([runIn(place, "before"), run], lease)
  yield* store.advanceRuns([{ run: runIn(place, "before"), to: "completed" }])
  yield* content.create(NewMessage.make({ ref, role: "assistant", text: "mine" }))
})

/** What a stranger asks; each must answer that there is nothing. */
const asks = Effect.fnUntraced(function* (place: Place) {
  const store = yield* MessageStore
  const content = yield* MessageContent
  const run = runIn(place)
  const { ref } = run
  // without a user a query is for all users of the company, so that is no stranger's
  const { userId = "default" } = place
  const whole = { ...chatOf(ref), ...chatOf(runIn({ ...place, userId }).ref) }
  const look = yield* store.stopRequests([run, runIn(place, "before")])
  assert.deepStrictEqual(
    [look.gone.length, look.requests, look.lost, look.failures],
    [2, [], [], []]
  )
  const changes = [run, runIn(place, "before")].flatMap((each) => [
    { run: each, to: "observed" as const },
    { run: each, to: "failed" as const }
  ])
  assert.deepStrictEqual(yield* store.advanceRuns(changes), [])
  const refs = RunQuery.cases.Refs.make({ refs: [ref] })
  assert.deepStrictEqual(yield* store.findRuns(refs), [])
  assert.deepStrictEqual(yield* store.findRuns(RunQuery.cases.Chat.make(whole)), [])
  assert.strictEqual(yield* store.forget(ForgetQuery.cases.Chat.make(whole)), 0)
  assert.deepStrictEqual(yield* content.find(MessageQuery.make(ref)), [])
  assert.deepStrictEqual(yield* content.find(MessageQuery.make(chatOf(ref))), [])
  for (const change of [{ text: "theirs" }, { reopen: true }, { setCompletedAt: true }]) {
    const error = yield* Effect.flip(content.modify(MessageChange.make({ ref, ...change })))
    assert.strictEqual(error.reason._tag, "MessageNotFound")
  }
})

/** What a stranger asks and is answered: rows of his own. */
const acts = Effect.fnUntraced(function* (place: Place) {
  const store = yield* MessageStore
  const content = yield* MessageContent
  const run = runIn(place)
  const { ref } = run
  const targets = [
    StopTarget.cases.Run.make({ run }),
    StopTarget.cases.Message.make({ ref }),
    StopTarget.cases.Chat.make(chatOf(ref))
  ]
  for (const target of targets) {
    const receipts = yield* store.requestStop(target, intent)
    assert.deepStrictEqual(
      receipts.map(({ _tag }) => _tag),
      ["Pending"]
    )
  }
  const [record] = yield* store.startRuns([run])
  assert.isDefined(record?.request)
  const [later] = yield* store.startRuns([runIn(place, "later")])
  assert.isUndefined(later?.request)
  for (const target of targets) yield* store.requestStop(target, intent)
  yield* store.advanceRuns([{ run, to: "stopped" }])
  yield* content.create(NewMessage.make({ ref, role: "assistant", text: "theirs" }))
  yield* content.modify(MessageChange.make({ ref, reopen: true, text: "theirs again" }))
})

/** The rows of everybody else go, whoever that is. */
const forgetOthers = Effect.fnUntraced(function* (place: Place) {
  const sql = yield* SqlClient.SqlClient
  const { chatId, companyId = "default", userId = "default" } = place
  for (const table of ["agent_runs", "agent_tombstones", "agent_messages"]) {
    yield* sql`DELETE FROM ${sql(table)} WHERE company_id = ${companyId} AND user_id = ${userId}
      AND chat_id = ${chatId}`
  }
})

for (const [database, layer] of [
  ["PostgreSQL", postgres],
  ["SQLite", sqlite]
] as const) {
  describe(`on ${database}`, () => {
    for (const [who, place, other] of strangers) {
      it.live(`${who} finds nothing and changes nothing`, () =>
        Effect.gen(function* () {
          yield* live(place)
          const before = yield* dumpOf
          yield* asks(other)
          assert.deepStrictEqual(yield* dumpOf, before)
          yield* acts(other)
          yield* forgetOthers(other)
          assert.deepStrictEqual(yield* dumpOf, before)
        }).pipe(Effect.provide(layer))
      )
    }

    it.live("who forgets a user forgets nobody else", () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        yield* live(mine)
        const before = yield* dumpOf
        for (const tenant of [
          { companyId: "other", userId: "user" },
          { companyId: "company", userId: "other" },
          { userId: "user" },
          { userId: "default" },
          { companyId: "company", userId: "default" }
        ]) {
          assert.strictEqual(yield* store.forget(userOf(tenant)), 0)
        }
        assert.deepStrictEqual(yield* dumpOf, before)
        assert.strictEqual(yield* store.forget(userOf(mine)), 2)
      }).pipe(Effect.provide(layer))
    )
  })
}

const userOf = ({ companyId, userId }: { companyId?: string; userId: string }) =>
  Schema.decodeSync(ForgetQuery)({
    _tag: "User",
    userId,
    ...(companyId === undefined ? {} : { companyId })
  })
