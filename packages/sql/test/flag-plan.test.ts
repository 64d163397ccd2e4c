/** How the databases read an application's table with many messages. */
import { assert, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { MessageStore } from "effect-cancellation"
import { dialectOf } from "../src/internal/dialect.ts"
import { catalogOf } from "../src/internal/flagCatalog.ts"
import { makeFlagStatements } from "../src/internal/flagStatements.ts"
import { checkTable } from "../src/internal/flagTable.ts"
import {
  columns,
  databases,
  lookAt,
  makeTable,
  refOf,
  shapeOf,
  storeOf,
  tableOf
} from "./flag.fixture.ts"
import * as Postgres from "./support/Postgres.ts"

const { chatId, messageId, userAbortedAt } = columns

for (const name of ["PostgreSQL", "SQLite"] as const) {
  layer(databases[name], { excludeTestServices: true, timeout: "60 seconds" })(
    `Messages with a flag are found by their index on ${name}`,
    (it) => {
      for (const id of name === "PostgreSQL"
        ? ["text", "varchar(40)", "bigint", "uuid"]
        : ["TEXT", "INTEGER"]) {
        for (const [count, analyzed] of [
          [100_000, true],
          [100_000, false],
          // So few that reading them all might look cheaper than 1,000 times the index.
          [4000, true]
        ] as const) {
          it.effect(
            `${count} with ids of ${id}, ${analyzed ? "analyzed" : "of which the planner knows nothing"}`,
            () =>
              Effect.gen(function* () {
                const sql = yield* SqlClient.SqlClient
                const shape = shapeOf(name, {
                  id,
                  table: `${id} ${count} ${String(analyzed)}`,
                  columns: { chatId, messageId, userAbortedAt }
                })
                yield* makeTable(shape)
                const idOf = (n: string) =>
                  id === "uuid"
                    ? `CAST(lpad(CAST(${n} AS text), 32, '0') AS uuid)`
                    : `CAST(${n} AS ${id})`
                yield* sql.unsafe(
                  name === "PostgreSQL"
                    ? `INSERT INTO ${tableOf(shape)} (${chatId}, ${messageId}, body)
                        SELECT ${idOf("n / 10")}, ${idOf("n")}, repeat('x', 100) FROM generate_series(1, ${count}) AS n`
                    : `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${count})
                        INSERT INTO ${tableOf(shape)} (${chatId}, ${messageId}, body)
                        SELECT ${idOf("n / 10")}, ${idOf("n")}, 'x' FROM c`
                )
                if (analyzed) yield* sql.unsafe(`ANALYZE ${tableOf(shape)}`)
                const textOf = (n: number) =>
                  id === "uuid"
                    ? String(n)
                        .padStart(32, "0")
                        .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
                    : String(n)
                const asked = Array.from(
                  { length: 1000 },
                  (_, index) => index * Math.floor(count / 1000) + 1
                )
                const dialect = yield* dialectOf(sql)
                const catalog = catalogOf(sql, dialect)
                const table = yield* checkTable(sql, catalog, (effect) => effect, shape)
                const { look } = makeFlagStatements({
                  sql,
                  dialect,
                  catalog,
                  table,
                  channel: undefined
                })
                const explain = sql.literal(
                  name === "PostgreSQL" ? "EXPLAIN" : "EXPLAIN QUERY PLAN"
                )
                const ids = asked.map((n) => [textOf(Math.floor(n / 10)), textOf(n)])
                const lines = (yield* sql`${explain} ${look(ids)}`).map((row) =>
                  String(Object.values(row).at(-1))
                )
                const plan = lines.join("\n")
                assert.match(
                  plan,
                  name === "PostgreSQL" ? /Index Scan/ : /SEARCH m USING (COVERING )?INDEX/
                )
                assert.notMatch(plan, name === "PostgreSQL" ? /Seq Scan/ : /SCAN m|AUTOMATIC/)

                const refs = asked.map((n) =>
                  refOf(textOf(n), { chatId: textOf(Math.floor(n / 10)) })
                )
                yield* Effect.gen(function* () {
                  const store = yield* MessageStore
                  for (const ref of refs.slice(0, 3)) {
                    yield* store.requestStop({ _tag: "Message", ref }, { reason: "user" })
                  }
                  const answer = yield* lookAt(...refs)
                  assert.deepStrictEqual([answer.requests.length, answer.gone.length], [3, 0])
                }).pipe(Effect.provide(storeOf(shape)))
              })
          )
        }
      }
    }
  )
}

it.live("A look keeps no plan of when the table was small", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const shape = shapeOf("PostgreSQL", { columns: { chatId, messageId, userAbortedAt } })
    yield* makeTable(shape)
    yield* sql`ALTER TABLE messages SET (autovacuum_enabled = false)`
    const fill = (from: number, to: number) =>
      sql.unsafe(`INSERT INTO messages (chat_id, message_id)
        SELECT 'chat', 'm' || n FROM generate_series(${from}, ${to}) AS n`)
    yield* fill(1, 40)
    yield* sql`VACUUM ANALYZE messages`
    const scans = Effect.andThen(
      sql`SELECT pg_stat_force_next_flush()`,
      sql`SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'messages'`
    )
    const refs = Array.from({ length: 40 }, (_, index) => refOf(`m${index + 1}`))
    yield* Effect.gen(function* () {
      // a plan is kept after five times, if it looks as good as one of its own
      for (let time = 0; time < 8; time++) yield* lookAt(...refs)
      yield* fill(41, 50_000)
      const before = yield* scans
      yield* lookAt(...refs)
      assert.deepStrictEqual(yield* scans, before)
    }).pipe(Effect.provide(storeOf(shape)))
  }).pipe(Effect.provide(Postgres.layer({ maxConnections: 1 })))
)
