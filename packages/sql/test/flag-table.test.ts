/** A table that does not fit is refused when the layer is built, and says why. */
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { camelToSnake, snakeToCamel } from "effect/String"
import { SqlClient } from "effect/sql"
import { MessageStore } from "effect-cancellation"
import { SqlMessageStore } from "../src/index.ts"
import {
  columns,
  databases,
  insert,
  lookAt,
  makeTable,
  quote,
  refOf,
  type Shape,
  shapeOf,
  stopOf,
  storeOf
} from "./flag.fixture.ts"
import * as Postgres from "./support/Postgres.ts"

const refusal = (table: SqlMessageStore.FlagTable) =>
  Effect.flip(Layer.build(SqlMessageStore.layerWith(table))).pipe(
    Effect.flatMap((error) =>
      error._tag === "UnfitTable" ? Effect.succeed(error.message) : Effect.die(error)
    ),
    Effect.scoped
  )

/** Everything there is in the database, by name. */
const everything = SqlClient.SqlClient.use((sql) =>
  sql.onDialectOrElse({
    pg: () => sql`SELECT tablename AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    orElse: () => sql`SELECT name, sql FROM sqlite_schema ORDER BY 1`
  })
)

const has = Effect.fnUntraced(function* (table: string, definitions: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(`CREATE TABLE ${table} (${definitions})`)
})

const ids = { chatId: "chat_id", messageId: "message_id" } as const

const hostile = [
  `weird"name`,
  `x"; DROP TABLE victim; --`,
  "x; DROP TABLE victim",
  "'; DROP TABLE victim; --",
  "%",
  "%s $1 ?",
  "?1",
  "tàble 表 \u{1F6D1}",
  " ",
  "SELECT",
  "m",
  "w",
  "\\",
  "a\nb",
  "`x`",
  "[x]",
  "victim --",
  "*"
]

for (const name of ["PostgreSQL", "SQLite"] as const) {
  layer(databases[name], { excludeTestServices: true })(`layerWith on ${name}`, (it) => {
    describe("refuses, and says", () => {
      it.effect("that there is no table", () =>
        Effect.gen(function* () {
          const { schema: _schema, ...shape } = shapeOf(name)
          assert.strictEqual(
            yield* refusal({ ...shape, table: "nothing" }),
            'The table "nothing" cannot keep stops. There is no such table; one of another schema needs `schema`.'
          )
          assert.strictEqual(
            yield* refusal({ ...shape, schema: "nowhere", table: "nothing" }),
            'The table "nowhere"."nothing" cannot keep stops. There is no such table in this schema.'
          )
        })
      )

      it.effect("every column that is missing, and which there are", () =>
        Effect.gen(function* () {
          yield* has("lacking", "message_id text, aborted text")
          assert.strictEqual(
            yield* refusal({ table: "lacking", columns }),
            'The table "lacking" cannot keep stops. It has no column "company_id" (companyId), and no column "user_id" (userId), and no column "chat_id" (chatId), and no column "user_aborted_at" (userAbortedAt), and no column "completed_at" (completedAt); its columns are "message_id", "aborted".'
          )
        })
      )

      it.effect("which type cannot carry what", () =>
        Effect.gen(function* () {
          yield* has(
            "mistyped",
            "message_id blob_or_bytea, chat_id text, user_aborted_at boolean".replace(
              "blob_or_bytea",
              name === "SQLite" ? "BLOB" : "bytea"
            )
          )
          const message = yield* refusal({
            table: "mistyped",
            columns: { ...ids, userAbortedAt: "user_aborted_at" }
          })
          assert.strictEqual(
            message,
            `The table "mistyped" cannot keep stops. The column "message_id" (messageId) ${
              name === "SQLite"
                ? "is BLOB, and an id is text or an integer"
                : "is bytea, and an id is text, uuid or an integer"
            }. The column "user_aborted_at" (userAbortedAt) is a boolean, and a stop needs its time: add a column for a time, and set it where the boolean is set.`
          )
        })
      )

      it.effect("that a flag that is always there stops everything", () =>
        Effect.gen(function* () {
          yield* has(
            "always",
            "message_id text, chat_id text, user_aborted_at bigint NOT NULL DEFAULT 0"
          )
          assert.include(
            yield* refusal({
              table: "always",
              columns: { ...ids, userAbortedAt: "user_aborted_at" }
            }),
            "takes no NULL, so that all messages would be stopped."
          )
        })
      )

      it.effect("that a flag that is computed cannot be set", () =>
        Effect.gen(function* () {
          yield* has(
            "computed",
            "message_id text, chat_id text, n bigint, t bigint GENERATED ALWAYS AS (n + 1) STORED"
          )
          assert.include(
            yield* refusal({ table: "computed", columns: { ...ids, userAbortedAt: "t" } }),
            "is generated, so that no stop can be written."
          )
        })
      )

      it.effect("that one column cannot be two things", () =>
        Effect.gen(function* () {
          yield* has("twofold", "message_id text, chat_id text, t text")
          assert.strictEqual(
            yield* refusal({
              table: "twofold",
              columns: { ...ids, userAbortedAt: "t", completedAt: "t" }
            }),
            'The table "twofold" cannot keep stops. The column "t" is both userAbortedAt and completedAt.'
          )
        })
      )

      it.effect("that a name is none", () =>
        Effect.gen(function* () {
          for (const [bad, why] of [
            ["", "is no name"],
            ["a\0b", "holds a character that no name can hold"],
            ["a\ud800", "holds a character that no name can hold"],
            ["public.messages", "holds a dot; give the schema of a table as `schema`"]
          ] as const) {
            assert.strictEqual(
              yield* refusal({ table: bad, columns }),
              `The table ${JSON.stringify(bad)} cannot keep stops. ${JSON.stringify(bad)} (table) ${why}.`
            )
            assert.include(yield* refusal({ schema: bad, table: "t", columns }), "(schema)")
            for (const role of Object.keys(columns)) {
              assert.include(
                yield* refusal({ table: "t", columns: { ...columns, [role]: bad } }),
                `(${role}) ${why}`
              )
            }
          }
        })
      )

      if (name === "PostgreSQL") {
        it.effect("which types of times are too small", () =>
          Effect.gen(function* () {
            yield* has(
              "small",
              "message_id text, chat_id text, a integer, b smallint, c date, d varchar(10), e json"
            )
            for (const [column, why] of [
              ["a", "is an integer, too small for milliseconds: make it bigint"],
              ["b", "is a smallint, too small for milliseconds: make it bigint"],
              ["c", "is a date, which has no time of day"],
              ["d", "is character varying(10), too short for 24 characters of a time"],
              ["e", "is json, and a time is timestamptz, timestamp, bigint (milliseconds) or text"]
            ] as const) {
              assert.include(
                yield* refusal({ table: "small", columns: { ...ids, userAbortedAt: column } }),
                `"${column}" (userAbortedAt) ${why}.`
              )
            }
          })
        )

        it.effect("that a name is not cut to the 63 bytes that a statement would look for", () =>
          Effect.gen(function* () {
            yield* has("t".repeat(63), "message_id text, chat_id text, t text")
            assert.include(
              yield* refusal({ table: "t".repeat(64), columns: { ...ids, userAbortedAt: "t" } }),
              "There is no such table"
            )
          })
        )
      }
    })

    describe("takes a hostile name as it is", () => {
      for (const [index, bad] of hostile.entries()) {
        it.effect(JSON.stringify(bad), () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const shape: Shape = shapeOf(name, { table: bad })
            yield* sql`CREATE TABLE IF NOT EXISTS victim (x text)`
            const before = yield* everything
            assert.include(yield* refusal(shape), "There is no such table")
            assert.deepStrictEqual(yield* everything, before)

            yield* makeTable(shape)
            yield* sql.unsafe(
              `CREATE TABLE ${quote(`other ${index}`)} (${quote(bad)} text, x text, t bigint)`
            )
            const made = yield* everything
            const column: Shape = {
              ...shape,
              table: `other ${index}`,
              columns: { chatId: "x", messageId: bad, userAbortedAt: "t" }
            }
            for (const each of [shape, column]) {
              yield* insert(each, refOf("1"))
              yield* Effect.gen(function* () {
                const store = yield* MessageStore
                yield* store.requestStop({ _tag: "Message", ref: refOf("1") }, { reason: "user" })
                const look = yield* lookAt(refOf("1"), refOf("2"))
                assert.deepStrictEqual([look.requests.length, look.gone.length], [1, 1])
              }).pipe(Effect.provide(storeOf(each)))
            }
            assert.deepStrictEqual(yield* everything, made)
          })
        )
      }
    })

    it.effect("takes no quoted name for a text", () =>
      Effect.gen(function* () {
        yield* has("plain", "message_id text, chat_id text, t text")
        for (const column of ["'t'", '"t"', "T x"]) {
          assert.include(
            yield* refusal({ table: "plain", columns: { ...ids, userAbortedAt: column } }),
            "It has no column"
          )
        }
      })
    )
  })
}

layer(Postgres.layer({ transformQueryNames: camelToSnake, transformResultNames: snakeToCamel }), {
  excludeTestServices: true
})("layerWith on a client that changes names", (it) => {
  it.effect("takes names as the database has them", () =>
    Effect.gen(function* () {
      const shape = shapeOf("PostgreSQL", {
        table: "chatMessages",
        columns: { ...columns, userAbortedAt: "userAbortedAt", chatId: "chat_Id" }
      })
      yield* makeTable(shape)
      yield* insert(shape, refOf("1"))
      yield* Effect.gen(function* () {
        yield* stopOf(refOf("1"))
        assert.lengthOf((yield* lookAt(refOf("1"))).requests, 1)
      }).pipe(Effect.provide(storeOf(shape)))
    })
  )
})
