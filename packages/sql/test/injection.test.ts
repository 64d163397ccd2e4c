// What people and programs may write, on PostgreSQL and SQLite: it is kept, and does nothing else.
import { assert, describe, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import {
  ForgetQuery,
  MessageChange,
  MessageContent,
  type MessageRef,
  MessageStore,
  NewMessage,
  ProcessId,
  Run,
  RunQuery,
  StopIntent,
  StopNote,
  StopTarget,
  UserId
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import { newSeed, randomOf } from "./concurrency.fixture.ts"
import { dumpOf } from "./injection.fixture.ts"
import { newFile } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

const seed = newSeed()
const random = randomOf(seed)

// Four bytes each in UTF-8, and at random, so that no compression makes them fit where they would not.
const randomEmoji = (length: number) =>
  Array.from({ length }, () => String.fromCodePoint(0x20000 + random.below(0xa000))).join("")

const hostile: ReadonlyArray<readonly [string, (place: number) => string]> = [
  ["statements", (n) => `a${n}; DROP TABLE agent_runs; --`],
  ["comments", (n) => `/* ${n} */ -- #`],
  ["wildcards", (n) => `%_%${n}`],
  ["backslashes", (n) => `\\${n}\\x00\\u0000\\`],
  ["parameters", (n) => `$1 $${n} ? :a @b`],
  ["JSON", (n) => `]},[{${n}:null}],\\u0022`],
  ["a dollar quote", (n) => `$$;SELECT pg_sleep(${n});$$`],
  ["right to left", (n) => `مرحبا${n}שלום`],
  ["255 random characters of 4 bytes", () => randomEmoji(255)]
]

const runOf = (id: (place: number) => string): Run =>
  Schema.decodeSync(Run)({
    ref: { companyId: id(1), userId: id(2), chatId: id(3), messageId: id(4) },
    runId: id(5)
  })

const companyOf = ({ chatId: _chatId, messageId: _messageId, ...tenant }: MessageRef) =>
  RunQuery.cases.Company.make(tenant)

const chatOf = ({ messageId: _messageId, ...chat }: MessageRef) => chat

// All that is hard on somebody, but quotes and backslashes first: 500 characters in all.
const note = `'; DROP TABLE agent_runs; --"\`\\'' $1 %s \${x} \u202e\u0007\r\n\t{"a":1}\u{1f600}é`
  .repeat(20)
  .slice(0, 499)
  .replace(/[\ud800-\udbff]$/, "!")
  .concat("'")

const stores = Layer.merge(SqlMessageStore.layer(), SqlMessageContent.layer)
const postgres = stores.pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(Postgres.layer())
)
const sqlite = stores.pipe(Layer.provideMerge(newFile))

const everything = Effect.fnUntraced(function* (run: Run) {
  const store = yield* MessageStore
  const { ref } = run
  const owner = ProcessId.make(run.runId)
  const lease = { owner, ttl: Duration.hours(1) }
  const intent = StopIntent.make({
    reason: "user",
    requestedBy: UserId.make(run.runId),
    note: StopNote.make(note)
  })
  const waits = [
    StopTarget.cases.Run.make({ run }),
    StopTarget.cases.Message.make({ ref }),
    StopTarget.cases.Chat.make(chatOf(ref))
  ]
  for (const target of waits) {
    const [receipt] = yield* store.requestStop(target, intent)
    assert.strictEqual(receipt?._tag, "Pending")
  }
  const [record] = yield* store.startRuns([run], lease)
  assert.strictEqual(record?.request?.note, note)
  assert.strictEqual(record?.owner, owner)
  const again = Run.make({ ref, runId: runOf((n) => `again-${n}`).runId })
  yield* store.startRuns([again], lease)
  for (const target of waits.slice(1)) {
    const [receipt] = yield* store.requestStop(target, intent)
    assert.strictEqual(receipt?._tag, "Requested")
  }
  const look = yield* store.stopRequests([run, again])
  assert.deepStrictEqual(
    look.requests.map(({ request }) => [request.note, request.requestedBy]),
    [
      [note, run.runId],
      [note, run.runId]
    ]
  )
  const changed = yield* store.advanceRuns([
    { run, to: "stopped" },
    { run: again, to: "observed" }
  ])
  assert.deepStrictEqual(
    changed.map(({ outcome }) => outcome),
    ["stopped", undefined]
  )
  for (const query of [
    RunQuery.cases.Refs.make({ refs: [ref] }),
    RunQuery.cases.Chat.make(chatOf(ref)),
    companyOf(ref)
  ]) {
    const found = yield* store.findRuns(query)
    assert.deepStrictEqual(
      found.map((each) => ({ ...each.run, ref: { ...each.run.ref } })),
      [run, again].map((each) => ({ ...each, ref: { ...each.ref } }))
    )
  }
  yield* store.renewLease(lease)
  assert.deepStrictEqual(yield* store.sweepLost, [])
  assert.strictEqual(yield* store.forget(ForgetQuery.cases.Chat.make(chatOf(ref))), 2)
})

for (const [database, layer] of [
  ["PostgreSQL", postgres],
  ["SQLite", sqlite]
] as const) {
  describe(`${database} (seed ${seed})`, () => {
    for (const [what, id] of hostile) {
      it.live(`${what} in all ids, and in notes, are only text`, () =>
        Effect.gen(function* () {
          const other = runOf((n) => `other-${n}`)
          const store = yield* MessageStore
          yield* store.startRuns([other])
          const before = yield* dumpOf
          yield* everything(runOf(id))
          const sql = yield* SqlClient.SqlClient
          yield* sql`DELETE FROM agent_leases`
          assert.deepStrictEqual(yield* dumpOf, before)
        }).pipe(Effect.provide(layer))
      )
    }

    it.live("texts and JSON of all kinds are kept as they are", () =>
      Effect.gen(function* () {
        const content = yield* MessageContent
        const { ref } = runOf((n) => `id-${n}`)
        const json = { "\u0000'": ["\u0000", "\ud800", "'; DROP TABLE agent_messages; --", "😀"] }
        const megabyte = "Ä😀'\\\"\n".repeat(150_000)
        yield* content.create(NewMessage.make({ ref, role: "assistant", text: megabyte }))
        const change = MessageChange.make({ ref, references: json, debugInfo: [null, json] })
        const changed = yield* content.modify(change)
        assert.isTrue(changed.text === megabyte)
        const [found] = yield* content.find(ref)
        assert.isTrue(found?.text === megabyte)
        assert.deepStrictEqual(found?.references, json)
        assert.deepStrictEqual(found?.debugInfo, [null, json])
        const torn = yield* content.modify(MessageChange.make({ ref, text: "half \ud83d" }))
        assert.strictEqual(torn.text, "half \ufffd")
      }).pipe(Effect.provide(layer))
    )
  })
}

describe("a NUL character in a text", () => {
  const { ref } = runOf((n) => `id-${n}`)
  const texts = [{ text: "a\0b" }, { originalText: "\0" }, { segmentKind: "\0" }]

  it.live("is refused on PostgreSQL with a reason, and changes nothing", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      for (const text of texts) {
        const message = NewMessage.make({ ref, role: "assistant", ...text })
        const { reason } = yield* Effect.flip(content.create(message))
        assert.strictEqual(reason._tag, "UnstorableText")
      }
      yield* content.create(NewMessage.make({ ref, role: "assistant", text: "before" }))
      for (const text of texts) {
        const { reason } = yield* Effect.flip(content.modify(MessageChange.make({ ref, ...text })))
        assert.strictEqual(reason._tag, "UnstorableText")
      }
      assert.deepStrictEqual(
        (yield* content.find(ref)).map(({ text }) => text),
        ["before"]
      )
    }).pipe(Effect.provide(postgres))
  )

  it.live("is stored on SQLite", () =>
    Effect.gen(function* () {
      const content = yield* MessageContent
      yield* content.create(NewMessage.make({ ref, role: "assistant", text: "a\0b" }))
      const [found] = yield* content.find(ref)
      assert.strictEqual(found?.text, "a\0b")
    }).pipe(Effect.provide(sqlite))
  )
})

it("a note that a database could not keep is refused before it gets there", () => {
  const isNote = Schema.is(StopNote)
  for (const bad of ["a\0b", "half \ud83d", "\udc00", "x".repeat(501)]) assert.isFalse(isNote(bad))
  for (const good of ["", "😀", note, "x".repeat(500)]) assert.isTrue(isNote(good))
})

it.live("a stop of the longest ids is announced, in less than 8,000 bytes", () =>
  Effect.gen(function* () {
    const client = yield* PgClient.PgClient
    const store = yield* MessageStore
    const heard = yield* client.listen("effect_cancellation")
    for (const id of [() => randomEmoji(255), () => "\\".repeat(255)]) {
      const run = runOf(id)
      yield* store.startRuns([run])
      yield* store.requestStop(
        StopTarget.cases.Run.make({ run }),
        StopIntent.make({ reason: "user" })
      )
      const { payload } = yield* Queue.take(heard)
      assert.isBelow(Buffer.byteLength(payload), 8000)
      const { companyId, userId, chatId, messageId } = run.ref
      assert.deepStrictEqual(JSON.parse(payload), [companyId, userId, chatId, messageId, run.runId])
    }
  }).pipe(Effect.scoped, Effect.provide(postgres))
)
