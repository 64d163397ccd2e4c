/**
 * A `SqlClient` on a pool of `pg`, which stays the program's own.
 *
 * The driver cannot take a statement back: the connection of one that is interrupted is closed, as
 * one is that broke.
 */
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
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
  /** It broke, or has not answered yet, and must not be given to anybody else. */
  isBroken: boolean
}

// A pool that is used up, or a server that is silent, holds nobody up who is interrupted: a client that
// comes after that goes back as it came.
const lease = (pool: PostgresPool) =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => new Borrowing(pool)),
      (borrowing) => Effect.sync(() => borrowing.end())
    ),
    (borrowing) => Effect.tryPromise({ try: () => borrowing.taken, catch: sqlError })
  )

class Borrowing {
  readonly taken: Promise<Lease>
  #lease: Lease | undefined
  #isOver = false

  constructor(pool: PostgresPool) {
    this.taken = this.#take(pool)
    // Whoever is interrupted looks at it no more.
    this.taken.catch(() => {})
  }

  async #take(pool: PostgresPool): Promise<Lease> {
    const client = await connected(pool)
    const lease: Lease = { client, isBroken: false }
    if (this.#isOver) {
      client.release()
      return lease
    }
    this.#lease = lease
    // Without a listener the process would end by it.
    client.on("error", this.#hear)
    return lease
  }

  readonly #hear = () => {
    if (this.#lease !== undefined) this.#lease.isBroken = true
  }

  end(): void {
    this.#isOver = true
    if (this.#lease === undefined) return
    const { client, isBroken } = this.#lease
    client.release(isBroken)
    client.off("error", this.#hear)
  }
}

const connected = async (pool: PostgresPool): Promise<PostgresPoolClient> => {
  try {
    return await pool.connect()
  } catch (cause) {
    throw stateOf(cause) === undefined ? plainly(cause, pool) : cause
  }
}

// What is no server's may hold the password: Node's of a URL that cannot be read has all of it as
// `input`, and the pool's function for the password may say anything. So the words and the code are
// kept, and of such a pool the words only where they are Node's of a socket, or the driver's.
const plainly = (cause: unknown, { options }: PostgresPool): Error => {
  const told = cause instanceof Error ? cause : new Error(String(cause))
  const code: unknown = Reflect.get(told, "code")
  const isSaid =
    typeof Reflect.get(options, "password") !== "function" ||
    typeof Reflect.get(told, "syscall") === "string" ||
    driverWords.has(told.message)
  const words = isSaid ? told.message : passwordUnknown
  return Object.assign(new Error(words), typeof code === "string" ? { code } : {})
}

const driverWords: ReadonlySet<string> = new Set([
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Connection terminated",
  "Connection terminated due to connection timeout",
  "Connection terminated unexpectedly",
  "The server does not support SSL connections",
  "Cannot use a pool after calling end on the pool"
])

const passwordUnknown =
  "The pool gave no connection: perhaps its function for the password failed, so why is not told."

const connectionOf = (taken: Lease): SqlConnection.Connection => {
  const query = (text: string, values: ReadonlyArray<unknown>, rowMode?: "array") =>
    Effect.tryPromise({
      try: () =>
        taken.client.query({
          text,
          values: [...values],
          ...(rowMode === undefined ? {} : { rowMode })
        }),
      catch: (cause) => {
        if (endsConnection(cause)) taken.isBroken = true
        return sqlError(cause)
      }
    }).pipe(
      // It cannot be taken back: its connection is closed, with the transaction it may be in.
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          taken.isBroken = true
        })
      )
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

// What a server says has a state of five characters; anything else is the connection.
const stateOf = (cause: unknown): string | undefined => {
  const code: unknown = typeof cause === "object" && cause !== null && Reflect.get(cause, "code")
  // EPIPE and its like have five too, and no digit.
  return typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : undefined
}

// A server that ends a session says why, and then closes it: it must not be given back before that.
const endsConnection = (cause: unknown): boolean => {
  const state = stateOf(cause)
  if (state === undefined || /^(08|57P|25P03)/.test(state)) return true
  return /^(FATAL|PANIC)$/.test(String(Reflect.get(Object(cause), "severity")))
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
    ...(typeof ssl === "boolean" ? { ssl } : {}),
    // The driver hides the key from whoever copies the settings.
    ...(typeof ssl === "object" && ssl !== null
      ? { ssl: { ...ssl, ...("key" in ssl ? { key: String(ssl.key) } : {}) } }
      : {}),
    ...passwordOf(Reflect.get(options, "password"), text("password"))
  }
}

// A function is asked at each connection, as the pool does.
const passwordOf = (
  given: unknown,
  known: string | undefined
): Pick<PgClient.PgClientConfig, "password"> => {
  if (typeof given === "function") {
    return {
      password: Effect.promise(async () => {
        try {
          return Redacted.make(String(await given()))
        } catch {
          // What it says may hold what must not be logged.
          throw new Error("The pool's function for the password failed.")
        }
      })
    }
  }
  return known === undefined ? {} : { password: Redacted.make(known) }
}
