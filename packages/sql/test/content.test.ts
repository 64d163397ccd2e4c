// Several who write the same message at once.
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import path from "node:path"
import { PgClient } from "@effect/sql-pg"
import {
  type Message,
  MessageChange,
  MessageContent,
  MessageQuery,
  type MessageRef,
  NewMessage,
  RunId
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageContent } from "../src/index.ts"
import { runOf } from "./concurrency.fixture.ts"
import { openFile, temporaryFolder } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

type Content = MessageContent["Service"]

const times = Array.from({ length: 100 }, (_, index) => index)
const timeout = 60_000

/** Two programs, each with a client of its own on one database. */
const twoOn = Effect.fnUntraced(function* (client: Layer.Layer<SqlClient.SqlClient, unknown>) {
  const open = Effect.map(
    Layer.build(Layer.fresh(Layer.provideMerge(SqlMessageContent.layer, client))),
    (context) => ({
      content: Context.get(context, MessageContent),
      sql: Context.get(context, SqlClient.SqlClient)
    })
  )
  return [yield* open, yield* open] as const
})

const onPostgres = Effect.gen(function* () {
  const { url } = yield* Postgres.database
  const client = PgClient.layer({ url })
  yield* Effect.provide(Migrations.run, client)
  return yield* twoOn(client)
})

const onSqlite = Effect.gen(function* () {
  const filename = path.join(yield* temporaryFolder, "test.sqlite")
  return yield* twoOn(openFile(filename))
})

const writer = RunId.make("writer")
const [before, after] = [RunId.make("before"), RunId.make("after")]

const refAt = (index: number): MessageRef => runOf("chat", `message-${index}`, "run").ref

const make = (content: Content, ref: MessageRef, more: Partial<NewMessage> = {}) =>
  content.create(NewMessage.make({ role: "assistant", ...more, ref }))

const modify = (content: Content, ref: MessageRef, change: Partial<MessageChange>) =>
  content.modify(MessageChange.make({ ...change, ref }))

/** Of many results the reasons of those that were refused. */
const reasonOf = <A, R>(
  effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>
) => Effect.match(effect, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "done" })

const both = <A, E>(one: Effect.Effect<A, E>, other: Effect.Effect<A, E>) =>
  Effect.all([one, other], { concurrency: 2 })

const found = Effect.fnUntraced(function* (content: Content, ref: MessageRef) {
  const [message] = yield* content.find(MessageQuery.make(ref))
  return message ?? assert.fail("there is a message")
})

/** All but its times, which no two writes have in common. */
const kept = ({ createdAt: _created, ref: _ref, updatedAt: _updated, ...rest }: Message) => ({
  ...rest,
  ...(rest.completedAt === undefined ? {} : { completedAt: true }),
  ...(rest.stoppedStreamingAt === undefined ? {} : { stoppedStreamingAt: true })
})

for (const [database, two] of [
  ["PostgreSQL", onPostgres],
  ["SQLite", onSqlite]
] as const) {
  describe(`on ${database}`, () => {
    it.live(
      "changes of different fields by two lose neither",
      () =>
        Effect.gen(function* () {
          const [mine, yours] = yield* two
          for (const index of times) {
            const ref = refAt(index)
            yield* make(mine.content, ref, { writer })
            yield* both(
              modify(mine.content, ref, { writer, text: "text", debugInfo: [index] }),
              modify(yours.content, ref, {
                writer,
                references: [index],
                setStoppedStreamingAt: true
              })
            )
            const { debugInfo, references, stoppedStreamingAt, text } = yield* found(
              mine.content,
              ref
            )
            assert.deepStrictEqual([text, debugInfo, references], ["text", [index], [index]])
            assert.isDefined(stoppedStreamingAt)
          }
        }),
      { timeout }
    )

    it.live(
      "one of two makes a message, and the other is told",
      () =>
        Effect.gen(function* () {
          const [mine, yours] = yield* two
          for (const index of times) {
            const ref = refAt(index)
            const results = yield* both(
              reasonOf(make(mine.content, ref, { text: "mine" })),
              reasonOf(make(yours.content, ref, { text: "yours" }))
            )
            assert.deepStrictEqual(results.toSorted(), ["MessageExists", "done"])
            const { text } = yield* found(mine.content, ref)
            assert.strictEqual(text, results[0] === "done" ? "mine" : "yours")
          }
        }),
      { timeout }
    )

    it.live(
      "nothing is written after completion, whoever was first",
      () =>
        Effect.gen(function* () {
          const [mine, yours] = yield* two
          for (const index of times) {
            const ref = refAt(index)
            yield* make(mine.content, ref, { writer, text: "begun" })
            const [completed, written] = yield* both(
              reasonOf(modify(mine.content, ref, { writer, setCompletedAt: true })),
              reasonOf(modify(yours.content, ref, { writer, text: "more" }))
            )
            assert.strictEqual(completed, "done")
            assert.include(["done", "AlreadyCompleted"], written)
            const { completedAt, text, updatedAt } = yield* found(mine.content, ref)
            assert.strictEqual(text, written === "done" ? "more" : "begun")
            assert.isAtMost(updatedAt, completedAt ?? 0)
          }
        }),
      { timeout }
    )

    it.live(
      "a message that is reopened keeps nothing of the writer before, however they meet",
      () =>
        Effect.gen(function* () {
          const [mine, yours] = yield* two
          for (const index of times) {
            const ref = refAt(index)
            yield* make(mine.content, ref, { writer: before, text: "begun" })
            const [late, reopened] = yield* both(
              reasonOf(modify(mine.content, ref, { writer: before, originalText: "late" })),
              reasonOf(modify(yours.content, ref, { writer: after, reopen: true }))
            )
            assert.strictEqual(reopened, "done")
            assert.include(["done", "NotTheWriter"], late)
            const message = yield* found(mine.content, ref)
            assert.deepStrictEqual(kept(message), { role: "assistant", text: "", writer: after })
            const later = modify(mine.content, ref, { writer: before, text: "later" })
            assert.strictEqual(yield* reasonOf(later), "NotTheWriter")
          }
        }),
      { timeout }
    )

    it.live(
      "of two that reopen one message one is its writer, with nothing of the other",
      () =>
        Effect.gen(function* () {
          const [mine, yours] = yield* two
          for (const index of times) {
            const ref = refAt(index)
            yield* make(mine.content, ref, { text: "begun", setCompletedAt: true })
            const anew = (name: RunId, field: Partial<MessageChange>) => ({
              reopen: true,
              writer: name,
              text: name,
              ...field
            })
            yield* both(
              modify(mine.content, ref, anew(before, { segmentKind: "one" })),
              modify(yours.content, ref, anew(after, { debugInfo: "two" }))
            )
            const message = yield* found(mine.content, ref)
            assert.include(
              [
                JSON.stringify({
                  role: "assistant",
                  text: before,
                  segmentKind: "one",
                  writer: before
                }),
                JSON.stringify({ role: "assistant", text: after, debugInfo: "two", writer: after })
              ],
              JSON.stringify(kept(message))
            )
          }
        }),
      { timeout }
    )

    it.live("what is written at once is what is written in two steps", () =>
      Effect.gen(function* () {
        const [{ content, sql }] = yield* two
        const changes: ReadonlyArray<Partial<MessageChange>> = [
          { text: "text" },
          { text: "", originalText: "" },
          { references: null, debugInfo: { a: [1] } },
          { segmentKind: "kind", setStoppedStreamingAt: true },
          { setStoppedStreamingAt: true, setCompletedAt: true },
          {}
        ]
        for (const [index, change] of changes.entries()) {
          const [atOnce, inSteps] = [refAt(index), refAt(index + 100)]
          const first = { originalText: "original", references: [1], writer }
          yield* make(content, atOnce, first)
          yield* make(content, inSteps, first)
          const one = yield* modify(content, atOnce, { ...change, writer })
          // to reopen it is to write it in two steps, on what it was when it was new
          const other = yield* modify(content, inSteps, {
            ...first,
            ...change,
            writer,
            reopen: true
          })
          assert.deepStrictEqual(kept(one), kept(other), JSON.stringify(change))
        }
        const columns = sql`SELECT text, original_text, "references", debug_info, segment_kind, writer
          FROM agent_messages WHERE message_id = `
        for (const index of changes.keys()) {
          const [atOnce, inSteps] = [refAt(index), refAt(index + 100)]
          assert.deepStrictEqual(
            yield* sql`${columns}${atOnce.messageId}`,
            yield* sql`${columns}${inSteps.messageId}`
          )
        }
      })
    )
  })
}
