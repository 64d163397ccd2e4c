/**
 * A `SqlClient` on a pool of `pg`, which stays the program's own.
 *
 * A statement that the driver has cannot be taken back: whoever is interrupted gives its connection
 * back when it has answered. One that broke is not given back.
 */
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError } from "effect/sql"
import * as Stream from "effect/Stream"
import type { PostgresPool, PostgresPoolClient } from "../postgres.ts"

/** The client of the store. */
export const poolClient = (pool: PostgresPool): Layer.Layer<SqlClient.SqlClient> =>
  Layer.effect(SqlClient.SqlClient, make(pool)).pipe(Layer.provide(Reactivity.layer))

/** A client of one connection to the same database, for whoever listens. */
export const listeningClient = (
  pool: PostgresPool
): Layer.Layer<PgClient.PgClient, SqlError.SqlError> =>
  Layer.unwrap(
    Effect.map(Effect.scoped(lease(pool)), ({ client }) =>
      PgClient.layer({
        ...configOf(client, pool.options),
        applicationName: "effect-cancellation",
        keepAlive: "5 seconds",
        maxConnections: 1
      })
    )
  )

const make = (pool: PostgresPool) =>
  SqlClient.make({
    acquirer: Effect.map(lease(pool), connectionOf),
    compiler: PgClient.makeCompiler(),
    driver: "pg",
    spanAttributes: [["db.system.name", "postgresql"]],
    // PostgreSQL answers ROLLBACK to the COMMIT of a transaction that has failed.
    commit: (connection) =>
      Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
        Reflect.get(Object(result), "command") === "ROLLBACK"
          ? Effect.fail(sqlError(new Error("COMMIT rolled back an aborted transaction")))
          : Effect.void
      )
  })

interface Lease {
  readonly client: PostgresPoolClient
  /** It broke, and must not be given to anybody else. */
  isBroken: boolean
  readonly hear: () => void
}

const lease = (pool: PostgresPool) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async (): Promise<Lease> => {
        const taken: Lease = {
          client: await pool.connect(),
          isBroken: false,
          hear: () => {
            taken.isBroken = true
          }
        }
        // Without a listener the process would end by it.
        taken.client.on("error", taken.hear)
        return taken
      },
      catch: sqlError
    }),
    ({ client, hear, isBroken }, exit) =>
      Effect.sync(() => {
        client.release(isBroken || Exit.hasInterrupts(exit))
        client.off("error", hear)
      })
  )

const connectionOf = (taken: Lease): SqlConnection.Connection => {
  const query = (text: string, values: ReadonlyArray<unknown>, rowMode?: "array") =>
    Effect.uninterruptible(
      Effect.tryPromise({
        try: () =>
          taken.client.query({
            text,
            values: [...values],
            ...(rowMode === undefined ? {} : { rowMode })
          }),
        catch: (cause) => {
          if (stateOf(cause) === undefined) taken.isBroken = true
          return sqlError(cause)
        }
      })
    )
  const execute: SqlConnection.Connection["execute"] = (text, values, transform) =>
    Effect.map(query(text, values), ({ rows }) => {
      const objects = rows.filter((row) => typeof row === "object" && row !== null)
      return transform === undefined ? objects : transform(objects)
    })
  const executeValues: SqlConnection.Connection["executeValues"] = (text, values) =>
    Effect.map(query(text, values, "array"), ({ rows }) => rows.filter(Array.isArray))
  return {
    execute,
    executeUnprepared: execute,
    executeRaw: query,
    executeValues,
    executeValuesUnprepared: executeValues,
    executeStream: (text, values, transform) =>
      Stream.unwrap(Effect.map(execute(text, values, transform), Stream.fromIterable))
  }
}

// A server that answers says so in five characters; anything else is the connection.
const stateOf = (cause: unknown): string | undefined => {
  const code: unknown = typeof cause === "object" && cause !== null && Reflect.get(cause, "code")
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

const sqlError = (cause: unknown): SqlError.SqlError => {
  const words = cause instanceof Error ? cause.message : String(cause)
  const props = { cause, message: words, operation: "query" }
  return new SqlError.SqlError({ reason: reasonOf(stateOf(cause), props) })
}

const reasonOf = (
  state: string | undefined,
  props: { readonly cause: unknown; readonly message: string; readonly operation: string }
): SqlError.SqlErrorReason => {
  // 57P01 to 57P03: the server is shut down, or starts.
  if (state === undefined || /^(08|57P)/.test(state)) return new SqlError.ConnectionError(props)
  if (state.startsWith("28")) return new SqlError.AuthenticationError(props)
  if (state === "42501") return new SqlError.AuthorizationError(props)
  if (state.startsWith("42")) return new SqlError.SqlSyntaxError(props)
  if (state.startsWith("23")) return new SqlError.ConstraintError(props)
  if (state === "40P01") return new SqlError.DeadlockError(props)
  if (state === "40001") return new SqlError.SerializationError(props)
  if (state === "55P03") return new SqlError.LockTimeoutError(props)
  if (state === "57014") return new SqlError.StatementTimeoutError(props)
  return new SqlError.UnknownError(props)
}

// What the driver has made of options, URL and environment stands on the connection itself.
const configOf = (client: object, options: object): PgClient.PgClientConfig => {
  const text = (name: string): string | undefined => {
    const value: unknown = Reflect.get(client, name)
    return typeof value === "string" ? value : undefined
  }
  const host = text("host")
  const port: unknown = Reflect.get(client, "port")
  const ssl: unknown = Reflect.get(client, "ssl")
  const database = text("database")
  const username = text("user")
  const at = typeof port === "number" ? port : 5432
  return {
    ...(host?.startsWith("/") === true
      ? { path: `${host}/.s.PGSQL.${at}` }
      : { ...(host === undefined ? {} : { host }), port: at }),
    ...(database === undefined ? {} : { database }),
    ...(username === undefined ? {} : { username }),
    ...(typeof ssl === "boolean" || (typeof ssl === "object" && ssl !== null) ? { ssl } : {}),
    ...passwordOf(Reflect.get(options, "password"), text("password"))
  }
}

// A function is asked at each connection, as the pool does.
const passwordOf = (
  given: unknown,
  known: string | undefined
): Pick<PgClient.PgClientConfig, "password"> => {
  if (typeof given === "function") {
    return { password: Effect.promise(async () => Redacted.make(String(await given()))) }
  }
  return known === undefined ? {} : { password: Redacted.make(known) }
}
