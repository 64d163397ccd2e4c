/**
 * A thin `SqlClient` on Node's own `node:sqlite`.
 *
 * To be replaced by `@effect/sql-sqlite-node` when its release for Effect 4 is there.
 *
 * The driver is synchronous: while it waits for a lock the whole process waits. So SQLite itself
 * waits 20 ms at most, and whoever still finds the file locked gets a `LockTimeoutError`: the stores of
 * this package come back later. Without a lock in the way no statement suspends, so a query can be
 * run with `Effect.runSync`.
 *
 * @since 0.1.0
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import { Reactivity } from "effect/reactivity"
import * as Semaphore from "effect/Semaphore"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import * as Stream from "effect/Stream"
import { retry } from "./internal/transactions.ts"

const busyTimeoutMillis = 20
const cachedStatements = 200

/**
 * A client on a file, which is made if there is none; several processes may have it open.
 *
 * ```ts
 * import * as SqliteClient from "effect-cancellation-sql/SqliteClient"
 *
 * const Client = SqliteClient.layer({ filename: "stops.sqlite" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: {
  readonly filename: string
}): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))

// Several processes may have the file open at the same time.
const make = Effect.fnUntraced(function* (options: { readonly filename: string }) {
  const cannotOpen = sqlError(`open ${JSON.stringify(options.filename)}`, "open")
  const database = yield* Effect.acquireRelease(
    Effect.try({
      try: () => new DatabaseSync(options.filename, { timeout: busyTimeoutMillis }),
      catch: cannotOpen
    }),
    (opened) => Effect.sync(() => opened.close())
  )
  // Before Node 22.16 it is undefined, and the client would never roll back: whatever came after the
  // first transaction that fails would be lost.
  if (!Predicate.isBoolean(database.isTransaction)) {
    return yield* cannotOpen(
      new Error(`Node ${process.version} is too old: use 22.16 or later of 22, or 24 or later`)
    )
  }
  const connection = makeConnection(database)
  // Readers never wait for the writer, nor it for them.
  yield* retry(connection.executeUnprepared("PRAGMA journal_mode = WAL", [], undefined)).pipe(
    // The first that reads the file finds out whether it is one of SQLite.
    Effect.mapError(({ reason }) => cannotOpen(reason.cause))
  )
  // Safe with WAL: a power cut may undo the last commits, but never damages the file.
  yield* connection.executeUnprepared("PRAGMA synchronous = NORMAL", [], undefined)

  const semaphore = yield* Semaphore.make(1)
  return yield* SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connection),
      semaphore,
      isTransaction: () => database.isTransaction
    }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "sqlite-node",
    spanAttributes: [["db.system.name", "sqlite"]],
    prepareTransactionControls: true,
    // A transaction that begins by reading and finds the file written meanwhile cannot go on.
    beginTransaction: "BEGIN IMMEDIATE"
  })
})

const makeConnection = (database: DatabaseSync): SqlConnection.Connection => {
  const statements = new Map<string, StatementSync>()

  const prepare = (sql: string): StatementSync => {
    const cached = statements.get(sql)
    const statement = cached ?? database.prepare(sql)
    statements.delete(sql)
    statements.set(sql, statement)
    const oldest = statements.keys().next()
    if (statements.size > cachedStatements && oldest.done !== true) statements.delete(oldest.value)
    return statement
  }

  const run = (statement: () => StatementSync, params: ReadonlyArray<unknown>) =>
    Effect.try({ try: () => statement().all(...params.map(bindable)), catch: cannotExecute })

  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.try({
      try: () => {
        const statement = database.prepare(sql)
        statement.setReturnArrays(true)
        return statement.all(...params.map(bindable)).map((row) => Object.values(row))
      },
      catch: cannotExecute
    })

  const execute: SqlConnection.Connection["execute"] = (sql, params, transform) =>
    transformed(
      run(() => prepare(sql), params),
      transform
    )

  return {
    execute,
    executeRaw: (sql, params) => run(() => prepare(sql), params),
    executeValues: values,
    executeValuesUnprepared: values,
    executeUnprepared: (sql, params, transform) =>
      transformed(
        run(() => database.prepare(sql), params),
        transform
      ),
    executeStream: (sql, params, transform) =>
      Stream.unwrap(Effect.map(execute(sql, params, transform), Stream.fromIterable))
  }
}

type Transform = Parameters<SqlConnection.Connection["execute"]>[2]

const transformed = (
  rows: Effect.Effect<ReadonlyArray<object>, SqlError.SqlError>,
  transform: Transform
): Effect.Effect<ReadonlyArray<object>, SqlError.SqlError> =>
  transform === undefined ? rows : Effect.map(rows, transform)

const bindable = (value: unknown): SQLInputValue => {
  if (value === null || value === undefined) return null
  if (Predicate.isBoolean(value)) return value ? 1 : 0
  if (Predicate.isString(value) || Predicate.isNumber(value) || Predicate.isBigInt(value)) {
    return value
  }
  if (value instanceof Uint8Array) return value
  throw new TypeError(`SQLite cannot store a value of type ${typeof value}; encode it first`)
}

const sqlError = (what: string, operation: string) => (cause: unknown) =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(numbered(cause), {
      message: `SQLite could not ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      operation
    })
  })

const cannotExecute = sqlError("execute", "execute")

// Node says `errcode` where the classifier looks for `errno`, and its own `code` tells nothing.
const numbered = (cause: unknown): unknown =>
  cause instanceof Error && Predicate.hasProperty(cause, "errcode")
    ? Object.assign(new Error(cause.message, { cause }), { errno: cause.errcode })
    : cause
