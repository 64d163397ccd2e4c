// How PostgreSQL and SQLite find a few rows among very many.
import { assert, describe, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { Migrations } from "../src/index.ts"
import { fill, operations, planOf, recording } from "./plans.fixture.ts"
import { newFile } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

const timeout = 120_000
const rows = 200_000

/** How often all of the table has been read, on a client of one connection. */
const scans = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`SELECT pg_stat_force_next_flush()`
  const [row] = yield* sql<{ readonly scans: number }>`SELECT seq_scan :: integer AS scans
    FROM pg_stat_user_tables WHERE relname = 'agent_runs'`
  return row?.scans
})

/** Tables that nobody analyses meanwhile. */
const withTables = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* Migrations.run
  yield* sql`ALTER TABLE agent_runs SET (autovacuum_enabled = false)`
  return sql
})

describe(`PostgreSQL, with ${rows} runs`, () => {
  it.live(
    "finds runs by their index, whatever the plan is made for",
    () =>
      Effect.gen(function* () {
        const sql = yield* withTables
        const { sentBy, store } = yield* recording(sql)
        yield* fill(sql, rows)
        yield* sql`ANALYZE agent_runs`
        for (const [name, operation] of Object.entries(operations(store, rows))) {
          const reading = (yield* sentBy(operation)).filter(
            ({ text }) => !text.startsWith("INSERT")
          )
          for (const sent of reading) {
            for (const mode of ["force_custom_plan", "force_generic_plan"] as const) {
              const plan = yield* planOf(sql, sent, mode)
              const told = `${name}, ${mode}:\n${sent.text}\n${plan}`
              assert.notMatch(plan, /Seq Scan on agent_runs/, told)
              if (name.startsWith("stopRequests")) {
                assert.match(plan, /Index Scan using agent_runs_key on agent_runs/, told)
              }
            }
          }
        }
      }).pipe(Effect.provide(Postgres.layer({ maxConnections: 2 }))),
    { timeout }
  )

  it.live(
    "does so too where there are few, if it is asked for few",
    () =>
      Effect.gen(function* () {
        const sql = yield* withTables
        const { sentBy, store } = yield* recording(sql)
        const few = 3000
        yield* fill(sql, few)
        yield* sql`ANALYZE agent_runs`
        const all = Object.entries(operations(store, few))
        for (const [name, operation] of all.filter(([each]) => !each.includes("1,000"))) {
          for (const sent of yield* sentBy(operation)) {
            if (sent.text.startsWith("INSERT")) continue
            const plan = yield* planOf(sql, sent, "force_custom_plan")
            assert.notMatch(plan, /Seq Scan on agent_runs/, `${name}:\n${sent.text}\n${plan}`)
          }
        }
      }).pipe(Effect.provide(Postgres.layer({ maxConnections: 2 }))),
    { timeout }
  )

  it.live(
    "does so too where many run, and none did when the rows were counted",
    () =>
      Effect.gen(function* () {
        const sql = yield* withTables
        const { sentBy, store } = yield* recording(sql)
        const running = 10_000
        yield* sql`INSERT INTO agent_runs (run_key, message_key, company_id, user_id, chat_id,
            message_id, run_id, started_at, current, ended_at, outcome)
          SELECT 'run-' || n, 'message-' || n, 'company', 'user', n / 10, n, n, now(), TRUE, now(),
            'completed' FROM generate_series(1, 400) AS n`
        yield* sql`ANALYZE agent_runs`
        yield* fill(sql, running)
        yield* sql`UPDATE agent_runs SET ended_at = NULL, outcome = NULL WHERE owner IS NOT NULL`
        const ofRuns = Object.entries(operations(store, running)).filter(
          ([name]) => !/chat|findRuns/.test(name)
        )
        for (const [name, operation] of ofRuns) {
          for (const sent of yield* sentBy(operation)) {
            if (sent.text.startsWith("INSERT")) continue
            for (const mode of ["force_custom_plan", "force_generic_plan"] as const) {
              const plan = yield* planOf(sql, sent, mode)
              const told = `${name}, ${mode}:\n${sent.text}\n${plan}`
              assert.notMatch(plan, /agent_runs_running/, told)
            }
          }
        }
      }).pipe(Effect.provide(Postgres.layer({ maxConnections: 2 }))),
    { timeout }
  )

  it.live(
    "does so too on a connection that has known the table when it was empty",
    () =>
      Effect.gen(function* () {
        const sql = yield* withTables
        const { store } = yield* recording(sql)
        // that a message has few runs is known only when the table has been analysed
        const all = Object.entries(operations(store, rows)).filter(
          ([name]) => name !== "findRuns of 10 messages"
        )
        // a plan that does not depend on the values is made at the sixth time
        for (let time = 0; time < 8; time++) {
          for (const [name, operation] of all) {
            if (!name.startsWith("startRuns")) yield* operation
          }
        }
        yield* fill(sql, rows)
        const before = yield* scans
        for (const [name, operation] of all) {
          yield* operation
          assert.strictEqual(yield* scans, before, name)
        }
      }).pipe(Effect.provide(Postgres.layer({ maxConnections: 1 }))),
    { timeout }
  )
})

describe("SQLite", () => {
  it.live(
    "searches runs by an index, with or without statistics",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { sentBy, store } = yield* recording(sql)
        const all = Object.entries(operations(store, 1000))
        const look = Effect.fnUntraced(function* (when: string) {
          for (const [name, operation] of all) {
            for (const { params, text } of yield* sentBy(operation)) {
              const plan = yield* sql.unsafe<Record<string, unknown>>(
                `EXPLAIN QUERY PLAN ${text}`,
                params
              )
              const details = plan.map((row) => String(row["detail"]))
              const told = `${name}, ${when}:\n${text}\n${details.join("\n")}`
              const ofRuns = details.filter((line) => /\b(agent_runs|r)\b/.test(line))
              for (const line of ofRuns) assert.match(line, /^SEARCH .* USING .*INDEX/, told)
              assert.isTrue(ofRuns.length > 0 || !/FROM agent_runs/.test(text), told)
            }
          }
        })
        yield* look("empty")
        yield* sql`INSERT INTO agent_runs (run_key, message_key, company_id, user_id, chat_id,
            message_id, run_id, started_at, current)
          WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${rows / 10})
          SELECT 'run-' || n, 'message-' || n, 'company', 'user', n / 10, n, n, 1, 1 FROM c`
        yield* look("full")
        yield* sql`ANALYZE`
        yield* look("analysed")
      }).pipe(Effect.provide(newFile)),
    { timeout }
  )
})
