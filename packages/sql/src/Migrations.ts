/**
 * The tables of the package: made and brought up to date by a layer of its own, and never by the
 * layers that use them.
 *
 * Several processes may start at once: one makes the tables, the others wait for it and find them
 * made. For people with a tool of their own the same statements are files in the package's folder
 * `migrations`, each to be run once, in the order of their numbers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { Migrator, SqlClient, type SqlError } from "effect/sql"
import { dialectOf } from "./internal/dialect.ts"
import { lacksRights, plainly, rightsHint, sqlErrorIn, wordsOf } from "./internal/errors.ts"
import { type MigrationSource, postgres, sqlite } from "./internal/schema.ts"
import { brokenIsFailed, retry } from "./internal/transactions.ts"

/**
 * The table in which the migrator notes what it has done; not the one that an application's own
 * migrations use by default.
 *
 * @category models
 * @since 0.1.0
 */
export const table = "effect_cancellation_migrations"

/**
 * The tables were made by a newer version of this package, so this one may misread them.
 *
 * @category errors
 * @since 0.1.0
 */
export class MadeByNewer extends Schema.TaggedError<MadeByNewer>(
  "effect-cancellation-sql/MadeByNewer"
)("MadeByNewer", {
  /** The number of the newest migration in the database. */
  found: Schema.Finite,
  /** The number of the newest one that this version knows. */
  known: Schema.Finite
}) {
  override get message(): string {
    return `A newer version of this program has made it (migration ${this.found}; this one knows ${this.known}); use that one, or another database.`
  }
}

/**
 * Brings the tables up to date; answers the migrations it ran. Where they are up to date
 * PostgreSQL is only read: no lock is taken, and the role needs no right to make tables. SQLite is
 * tried for writing, since a read-only file opens without a word.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Migrations } from "effect-cancellation-sql"
 *
 * const deploy = Effect.tap(Migrations.run, (done) => Effect.log(`${done.length} migrations`))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const run: Effect.Effect<
  ReadonlyArray<readonly [id: number, name: string]>,
  Migrator.MigrationError | MadeByNewer,
  SqlClient.SqlClient
> = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const { name } = yield* dialectOf(sql)
  const sources = name === "pg" ? postgres : sqlite
  if (name === "sqlite") yield* retry(sql.withTransaction(tryToWrite(sql)))
  const isDone = Effect.flatMap(retry(newest(sql)), (found) =>
    found > sources.length
      ? Effect.fail(new MadeByNewer({ found, known: sources.length }))
      : Effect.succeed(found === sources.length)
  )
  if (yield* isDone) return []
  const done = yield* retry(
    brokenIsFailed(
      Migrator.make({})({ table, loader: Migrator.fromRecord(numbered(sql, sources)) })
    )
  )
  yield* isDone
  return done
}).pipe(Effect.mapError((error) => (error instanceof MadeByNewer ? error : inWords(error))))

/**
 * Brings the tables up to date before anything that is built on this layer.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Migrations, SqlMessageStore } from "effect-cancellation-sql"
 *
 * const Store = SqlMessageStore.layer().pipe(Layer.provide(Migrations.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, Migrator.MigrationError | MadeByNewer, SqlClient.SqlClient> =
  Layer.effectDiscard(run)

const numbered = (sql: SqlClient.SqlClient, sources: ReadonlyArray<MigrationSource>) =>
  Object.fromEntries(
    sources.map(({ name, statements }, index) => [
      `${index + 1}_${name}`,
      Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
    ])
  )

// The number of the newest migration that was run, 0 if none was.
const newest = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [exists] = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT 1 WHERE to_regclass(${table}) IS NOT NULL`,
    orElse: () => sql`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ${table}`
  })
  if (exists === undefined) return 0
  const [row] = yield* sql<{ readonly found: number | null }>`
    SELECT max(migration_id) AS found FROM ${sql(table)}`
  return row?.found ?? 0
})

// SQLite opens a file that is read-only without a word, and even begins an immediate transaction on
// it. Only what writes fails; the same version again changes nothing.
const tryToWrite = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [row] = yield* sql<{ readonly user_version: number }>`PRAGMA user_version`
  yield* sql`PRAGMA user_version = ${sql.literal(String(row?.user_version ?? 0))}`
})

// Neither the migrator's message nor the driver's says what the database said.
const inWords = (error: Migrator.MigrationError | SqlError.SqlError) => {
  const found = sqlErrorIn(error)
  const plain = found === undefined ? undefined : plainly(found)
  return new Migrator.MigrationError({
    kind: Predicate.isTagged(error, "MigrationError") ? error.kind : "Failed",
    message: `The tables cannot be made or read: ${plain === undefined ? error.message : `${wordsOf(plain)}${hintOf(plain)}`}`,
    cause: plain === found ? error : plain
  })
}

const hintOf = (error: SqlError.SqlError): string => {
  if (lacksRights(error)) return `. ${rightsHint}`
  return error.reason._tag === "AuthorizationError"
    ? ". Run the migrations, or the statements of the package's migrations folder, as a role that may make tables"
    : ""
}
