import { assert, describe, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import path from "node:path"
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql"
import { Migrations } from "../src/index.ts"
import * as SqliteClient from "../src/SqliteClient.ts"
import { tablesOf } from "./migrations.fixture.ts"
import { temporaryFolder } from "./SqliteFile.ts"
import { runAll } from "./storm.children.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

const made: ReadonlyArray<readonly [number, string]> = [
  [1, "runs"],
  [2, "messages"]
]
const ours = [
  "agent_leases",
  "agent_messages",
  "agent_runs",
  "agent_tombstones",
  "effect_cancellation_migrations"
]
const eight = Array.from({ length: 8 })
const timeout = 60_000

const newFilename = Effect.map(temporaryFolder, (folder) => path.join(folder, "test.sqlite"))
const newSqlite = Layer.unwrap(
  Effect.map(newFilename, (filename) => SqliteClient.layer({ filename }))
)

/** Eight that all did their part, of which one made everything. */
const madeOnce = (answers: ReadonlyArray<unknown>) => {
  const expected = eight.map((_, index) => (index === 0 ? made : []))
  assert.sameDeepMembers(answers.slice(), expected)
}

describe("eight programs that start at once", () => {
  it.live(
    "make the tables of an empty PostgreSQL database once",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Postgres.database
        const args = eight.map(() => ["pg", Redacted.value(url)])
        madeOnce(yield* runAll("migrations.child.ts", args))
        const tables = yield* Effect.provide(tablesOf, PgClient.layer({ url }))
        assert.deepStrictEqual(tables, ours)
      }),
    { timeout }
  )

  it.live(
    "make the tables of an empty file of SQLite once",
    () =>
      Effect.gen(function* () {
        const filename = yield* newFilename
        const args = eight.map(() => ["sqlite", filename])
        madeOnce(yield* runAll("migrations.child.ts", args))
        const tables = yield* Effect.provide(tablesOf, SqliteClient.layer({ filename }))
        assert.deepStrictEqual(tables, ours)
      }),
    { timeout }
  )

  it.live(
    "make the tables once, with eight clients in one process, ten times",
    () =>
      Effect.gen(function* () {
        for (let time = 0; time < 10; time++) {
          const { url } = yield* Postgres.database
          const answers = yield* Effect.forEach(
            eight,
            () => Effect.provide(Migrations.run, Layer.fresh(PgClient.layer({ url }))),
            { concurrency: "unbounded" }
          )
          madeOnce(answers)
        }
      }),
    { timeout }
  )
})

describe("on tables full of rows", () => {
  const rows = 100_000

  it.live(
    "of PostgreSQL they change nothing, and wait for nobody",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* Migrations.run
        yield* sql`INSERT INTO agent_runs (run_key, message_key, company_id, user_id, chat_id,
            message_id, run_id, started_at, current)
          SELECT 'run-' || n, 'message-' || n, 'company', 'user', 'chat', n, n, now(), TRUE
          FROM generate_series(1, ${rows}) AS n`
        const content = sql`SELECT count(*), sum(hashtext(agent_runs :: text)) FROM agent_runs`
        const before = yield* content
        const oids = sql`SELECT oid, relfilenode FROM pg_class WHERE relname LIKE 'agent_%'`
        const files = yield* oids
        // whoever wants a lock on one of these tables waits until the transaction ends
        const done = yield* sql.withTransaction(
          Effect.andThen(
            sql`LOCK TABLE agent_runs, agent_tombstones, agent_leases, agent_messages,
              effect_cancellation_migrations IN SHARE ROW EXCLUSIVE MODE`,
            Effect.forkChild(Effect.provide(Migrations.run, Layer.fresh(anotherClient(sql)))).pipe(
              Effect.flatMap(Fiber.join)
            )
          )
        )
        assert.deepStrictEqual(done, [])
        assert.deepStrictEqual(yield* content, before)
        assert.deepStrictEqual(yield* oids, files)
      }).pipe(Effect.provide(Postgres.layer())),
    { timeout }
  )

  it.live(
    "of SQLite they change nothing",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* Migrations.run
        yield* sql`INSERT INTO agent_runs (run_key, message_key, company_id, user_id, chat_id,
            message_id, run_id, started_at, current)
          WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${rows})
          SELECT 'run-' || n, 'message-' || n, 'company', 'user', 'chat', n, n, 1, 1 FROM c`
        const content = sql`SELECT count(*), sum(sequence), max(run_key) FROM agent_runs`
        const before = yield* content
        const [version] = yield* sql`PRAGMA schema_version`
        assert.deepStrictEqual(yield* Migrations.run, [])
        assert.deepStrictEqual(yield* content, before)
        assert.deepStrictEqual((yield* sql`PRAGMA schema_version`)[0], version)
      }).pipe(Effect.provide(newSqlite)),
    { timeout }
  )
})

const anotherClient = ({ config }: PgClient.PgClient) => PgClient.layer(config)

for (const [database, client] of [
  ["PostgreSQL", Postgres.layer()],
  ["SQLite", newSqlite]
] as const) {
  describe(`on ${database}`, () => {
    it.live("an application's own migrations are left alone", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE effect_sql_migrations (migration_id integer PRIMARY KEY, name text)`
        yield* sql`INSERT INTO effect_sql_migrations VALUES (7, 'of the application')`
        assert.deepStrictEqual(yield* Migrations.run, made)
        const theirs = yield* sql`SELECT * FROM effect_sql_migrations`
        assert.deepStrictEqual(theirs, [{ migration_id: 7, name: "of the application" }])
        const noted = yield* sql`SELECT migration_id, name FROM effect_cancellation_migrations
          ORDER BY migration_id`
        assert.deepStrictEqual<unknown>(noted.map(Object.values), made)
        assert.deepStrictEqual(yield* tablesOf, [...ours, "effect_sql_migrations"].toSorted())
      }).pipe(Effect.provide(client))
    )

    it.live("tables that a newer version has made are refused", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* Migrations.run
        yield* sql`INSERT INTO effect_cancellation_migrations (migration_id, name) VALUES (3, 'new')`
        const error = yield* Effect.flip(Migrations.run)
        if (error._tag !== "MadeByNewer") return assert.fail(error._tag)
        assert.deepStrictEqual([error.found, error.known], [3, 2])
        assert.include(error.message, "newer version")
      }).pipe(Effect.provide(client))
    )

    it.live("a migration that fails leaves nothing, says why, and works later", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE agent_messages (x integer)`
        const error = yield* Effect.flip(Migrations.run)
        assert.strictEqual(error._tag, "MigrationError")
        assert.match(error.message, /agent_messages"? already exists/)
        assert.deepStrictEqual(yield* tablesOf, ["agent_messages", Migrations.table])
        assert.deepStrictEqual(yield* sql`SELECT * FROM effect_cancellation_migrations`, [])
        yield* sql`DROP TABLE agent_messages`
        assert.deepStrictEqual(yield* Migrations.run, made)
      }).pipe(Effect.provide(client))
    )
  })
}

describe("in the middle of the migrations of PostgreSQL", () => {
  // Somebody else makes a table of the same name and does not commit, so that the second migration waits.
  const inTheMiddle = <A, E>(
    then: (
      run: Fiber.Fiber<unknown, unknown>,
      process: number
    ) => Effect.Effect<A, E, PgClient.PgClient>
  ) =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const result = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* sql`CREATE TABLE agent_messages (x integer)`
            const run = yield* Effect.forkChild(
              Effect.provide(Migrations.run, Layer.fresh(anotherClient(sql)))
            )
            const [waiting] = yield* until(
              sql<{ readonly pid: number }>`SELECT pid FROM pg_locks
              WHERE NOT granted AND transactionid = pg_current_xact_id() :: xid`,
              (found) => found.length === 1
            )
            yield* then(run, waiting?.pid ?? 0)
            return yield* Effect.fail("so that it is rolled back" as const)
          })
        )
        .pipe(Effect.flip)
      assert.strictEqual(result, "so that it is rolled back")
      assert.deepStrictEqual(yield* tablesOf, [Migrations.table])
      assert.deepStrictEqual(yield* Migrations.run, made)
      assert.deepStrictEqual(yield* tablesOf, ours)
    }).pipe(Effect.provide(Postgres.layer()))

  it.live("who is interrupted leaves nothing", () => inTheMiddle((run) => Fiber.interrupt(run)), {
    timeout
  })

  it.live(
    "who loses the connection leaves nothing, and is told",
    () =>
      inTheMiddle(
        Effect.fnUntraced(function* (run, process) {
          const sql = yield* PgClient.PgClient
          yield* sql`SELECT pg_terminate_backend(${process})`
          const error = yield* Effect.flip(Fiber.join(run))
          assert.instanceOf(error, Error)
          assert.match(String(error), /terminating connection|closed|reset/)
        })
      ),
    { timeout }
  )
})

it.live("no file of SQLite is made where its folder is missing", () =>
  Effect.gen(function* () {
    const filename = path.join(yield* temporaryFolder, "missing", "test.sqlite")
    yield* Effect.flip(Effect.provide(Migrations.run, SqliteClient.layer({ filename })))
    assert.isFalse(existsSync(filename))
  })
)
