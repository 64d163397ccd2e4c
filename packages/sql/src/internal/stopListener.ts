/**
 * A connection that does nothing but listen, and goes away without waiting for anybody.
 */
import { type PgClient, PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { saidBy } from "./postgresUrl.ts"

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

// What the URL leaves open is as it is for the client: by its settings, else by its own URL.
const movedTo = (
  listenUrl: Redacted.Redacted<string>,
  client: PgClient.PgClientConfig
): PgConnection.Config => {
  const here = saidBy(listenUrl)
  const there = saidBy(client.url)
  const database = here.database === undefined ? (client.database ?? there.database) : undefined
  // PostgreSQL offers no TLS on a socket, where there is no network to hide from.
  const isSocket = here.host?.startsWith("/") === true
  const inherited = [
    // An option of the client's wins over its URL.
    ...(client.ssl === undefined && !isSocket ? ["sslmode"] : []),
    ...(client.connectTimeout === undefined ? ["connect_timeout"] : []),
    ...(client.applicationName === undefined ? ["application_name"] : [])
  ]
  return {
    url: withParams(listenUrl, inherited, there.param),
    keepAlive: client.keepAlive,
    ssl: isSocket ? undefined : sslOf(here.param("sslmode"), client.ssl),
    ...(here.param("connect_timeout") === undefined
      ? { connectTimeout: client.connectTimeout }
      : {}),
    ...(here.param("application_name") === undefined
      ? { applicationName: client.applicationName }
      : {}),
    ...(database === undefined ? {} : { database }),
    ...credentials(here, there, client)
  }
}

// One user's password is no other user's.
const credentials = (
  here: ReturnType<typeof saidBy>,
  there: ReturnType<typeof saidBy>,
  client: PgClient.PgClientConfig
): Pick<PgConnection.Config, "username" | "password"> => {
  const username = client.username ?? there.username
  if (here.username !== undefined && here.username !== username) return {}
  if (here.password !== undefined) return { username }
  const own = there.password === undefined ? undefined : Redacted.make(there.password)
  return { username, password: client.password ?? own }
}

// The URL, with what it does not say of these taken from the other one.
const withParams = (
  url: Redacted.Redacted<string>,
  names: ReadonlyArray<string>,
  others: (name: string) => string | undefined
): Redacted.Redacted<string> => {
  const merged = new URL(Redacted.value(url))
  for (const name of names) {
    const value = others(name)
    if (value !== undefined && !merged.searchParams.has(name)) merged.searchParams.set(name, value)
  }
  return Redacted.make(merged.href)
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
  saidBy(url).param("application_name") !== undefined
