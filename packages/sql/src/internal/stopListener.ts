/**
 * A connection that does nothing but listen, and goes away without waiting for anybody.
 */
import { type PgClient, PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { SqlError } from "effect/sql"

/**
 * Connects, and answers the queues of the two channels once the server has confirmed that it listens
 * to both. They fail when the connection breaks.
 */
export const openListener = Effect.fnUntraced(function* (
  config: PgConnection.Config,
  channel: string,
  probeChannel: string
) {
  // Closed last. On a connection that lives a queue says UNLISTEN when it goes, and waits for the
  // answer, which never comes if the connection is frozen.
  const queues = yield* Scope.fork(yield* Effect.scope)
  const connection = yield* Effect.timeout(PgConnection.make(config), "30 seconds")
  // Closed first. Released while it listens, or while a statement is under way, it destroys the
  // socket: a frozen one that was closed politely would keep the process from ending.
  const pinned = yield* connection.pin
  // In a fiber of its own, because the driver keeps who interrupts a statement waiting for 5 seconds.
  const listening = yield* Effect.ignore(pinned.query(staysIdle)).pipe(
    Effect.andThen(Effect.all([pinned.listen(channel), pinned.listen(probeChannel)])),
    Scope.provide(queues),
    Effect.forkIn(queues)
  )
  const [hints, probes] = yield* Effect.timeout(Fiber.join(listening), "5 seconds")
  return { hints, probes }
})

// Who listens is idle to the server, which may end such sessions, and would do so again and again. A
// setting for the start of the connection would be refused before PostgreSQL 14 and by poolers.
const staysIdle = `SELECT set_config(name, '0', false) FROM pg_settings
  WHERE name = 'idle_session_timeout' AND setting <> '0'`

/** The settings of the listening connection: those of the client, but where `listenUrl` leads. */
export const listenerConfig = (
  client: PgClient.PgClientConfig,
  listenUrl: Redacted.Redacted<string> | undefined
): PgConnection.Config => {
  const config = listenUrl === undefined ? client : movedTo(listenUrl, client)
  return {
    ...config,
    ...(isNamed(config) ? {} : { applicationName: "effect-cancellation-listen" }),
    // LISTEN is said once: a pooler need not know prepared statements for it.
    prepare: false,
    multiplex: false
  }
}

/** Whether this is the URL of a PostgreSQL server. */
export const isPostgresUrl = (url: Redacted.Redacted<string>): boolean =>
  /^postgres(ql)?:$/.test(parse(url)?.protocol ?? "")

/** What went wrong, without the settings of the connection: they hold a password. */
export const explain = (error: unknown): string => {
  if (!SqlError.isSqlError(error)) return error instanceof Error ? error.message : String(error)
  const { cause } = error.reason
  // Node says why none of several addresses answered in the code alone
  const said = cause instanceof Error ? cause.message || ("code" in cause ? cause.code : "") : ""
  return `${error.message}: ${String(said)}`
}

// What the URL leaves open is as it is for the client.
const movedTo = (
  listenUrl: Redacted.Redacted<string>,
  client: PgClient.PgClientConfig
): PgConnection.Config => {
  const url = parse(listenUrl)
  const says = (name: string) => url?.searchParams.has(name) === true
  const namesDatabase = says("dbname") || (url !== undefined && url.pathname.length > 1)
  const namesUser = says("user") || says("password") || url?.username !== "" || url.password !== ""
  return {
    url: listenUrl,
    keepAlive: client.keepAlive,
    ssl: sslOf(url?.searchParams.get("sslmode") ?? undefined, client.ssl),
    ...(says("connect_timeout") ? {} : { connectTimeout: client.connectTimeout }),
    ...(says("application_name") ? {} : { applicationName: client.applicationName }),
    ...(namesDatabase ? {} : { database: client.database }),
    // Both or none: one user's password is no other user's.
    ...(namesUser ? {} : { username: client.username, password: client.password })
  }
}

// A mode in the URL wins; the client's certificates still serve where it asks for encryption. It may
// ask for more than the client, whose pool may be content with any server.
const sslOf = (mode: string | undefined, ssl: PgConnection.Config["ssl"]) => {
  if (mode === undefined || (mode === "require" && typeof ssl === "object")) return ssl
  return typeof ssl === "object" && /^verify-(ca|full)$/.test(mode)
    ? { ...ssl, rejectUnauthorized: true }
    : undefined
}

const isNamed = ({ applicationName, startupParameters, url }: PgConnection.Config): boolean =>
  applicationName !== undefined ||
  Object.keys(startupParameters ?? {}).some((name) => name.toLowerCase() === "application_name") ||
  (url !== undefined && parse(url)?.searchParams.has("application_name") === true)

const parse = (url: Redacted.Redacted): URL | undefined => {
  const text = Redacted.value(url)
  return URL.canParse(text) ? new URL(text) : undefined
}
