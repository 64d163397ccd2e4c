/**
 * A thin `SqlClient` on Node's own `node:sqlite`.
 *
 * To be replaced by `@effect/sql-sqlite-node` when its release for Effect 4 is there.
 *
 * The driver is synchronous: while it waits for a lock the whole process waits. So SQLite itself
 * waits 20 ms at most, and whoever still finds the file locked comes back later ({@link retryBusy}).
 * Without a lock in the way no statement suspends, so a query can be run with `Effect.runSync`.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import { Reactivity } from "effect/reactivity"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import * as Stream from "effect/Stream"

const busyTimeoutMillis = 20
const cachedStatements = 200

// Several processes may have the file open at the same time.
const make = Effect.fnUntraced(function* (options: { readonly filename: string }) {
  const database = yield* Effect.acquireRelease(
    Effect.try({
      try: () => new DatabaseSync(options.filename, { timeout: busyTimeoutMillis }),
      catch: sqlError("open")
    }),
    (opened) => Effect.sync(() => opened.close())
  )
  const connection = makeConnection(database)
  // Readers never wait for the writer, nor it for them.
  yield* retryBusy(connection.executeUnprepared("PRAGMA journal_mode = WAL", [], undefined))
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

/** A client on a file. */
export const layer = (options: {
  readonly filename: string
}): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))

// The file is locked by another process, so the same may work in a moment.
const isBusy = (error: unknown): boolean =>
  SqlError.isSqlError(error) && error.reason._tag === "LockTimeoutError"

/** Comes back while the file is locked, for four seconds at most. Wrap whole transactions in it. */
export const retryBusy = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, { schedule: backOff, while: isBusy })

const backOff = Schedule.min([
  Schedule.exponential("5 millis"),
  Schedule.spaced("100 millis")
]).pipe(Schedule.jittered, Schedule.upTo({ duration: "4 seconds" }))

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
    Effect.try({ try: () => statement().all(...params.map(bindable)), catch: sqlError("execute") })

  const values = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.try({
      try: () => {
        const statement = database.prepare(sql)
        statement.setReturnArrays(true)
        return statement.all(...params.map(bindable)).map((row) => Object.values(row))
      },
      catch: sqlError("execute")
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

const sqlError = (operation: string) => (cause: unknown) =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(numbered(cause), {
      message: `SQLite could not ${operation}: ${cause instanceof Error ? cause.message : String(cause)}`,
      operation
    })
  })

// Node says `errcode` where the classifier looks for `errno`, and its own `code` tells nothing.
const numbered = (cause: unknown): unknown =>
  cause instanceof Error && Predicate.hasProperty(cause, "errcode")
    ? Object.assign(new Error(cause.message, { cause }), { errno: cause.errcode })
    : cause
