/**
 * The PostgreSQL that the parts share: the server at `DATABASE_URL`, or one of our own.
 */
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { startKeptGroup } from "./kept.ts"
import { postgresVersion } from "./machine.ts"
import { reasonOf } from "./reason.ts"

export interface Server {
  readonly version: string
  /** Makes an empty database, and drops it when the work is done. */
  readonly withDatabase: <A>(work: (url: string) => Promise<A>) => Promise<A>
  readonly close: () => Promise<void>
}

/** Opens it; a failure says in one line why it cannot be used, and what to do. */
export const openServer = async (
  given: string | undefined,
  signal: AbortSignal
): Promise<Server> => {
  let close = async () => {}
  try {
    const own = given === undefined ? await startOwn(signal) : undefined
    close = own?.close ?? close
    const url = own?.url ?? given ?? ""
    // To make a database must not be broken off, to wait for an answer may be.
    await Effect.runPromise(Effect.scoped(PgConnection.make({ url: Redacted.make(url) })), {
      signal
    })
    const withDatabase = databasesOn(url, signal)
    return { version: await withDatabase(postgresVersion), withDatabase, close }
  } catch (error) {
    await close()
    throw unusable(given, reasonOf(error))
  }
}

const unusable = (given: string | undefined, reason: string): Error =>
  new Error(
    given === undefined
      ? `No PostgreSQL could be started here: ${reason}. One that runs is used with ${example} npm run bench.`
      : `The PostgreSQL of DATABASE_URL${hostOf(given)} cannot be used: ${reason}. It must be like ${example}, of a user who may create databases; without it one is started here.`
  )

const example = "DATABASE_URL=postgres://user:password@host:5432/database"

// Without the password, so nothing at all of what cannot be read.
const hostOf = (url: string): string => (URL.canParse(url) ? ` at ${new URL(url).host}` : "")

const databasesOn = (url: string, signal: AbortSignal): Server["withDatabase"] => {
  let databases = 0
  const query = (statement: string): Promise<unknown> =>
    PgConnection.make({ url: Redacted.make(url) }).pipe(
      Effect.flatMap((connection) => connection.query(statement)),
      Effect.scoped,
      Effect.runPromise
    )
  return async (work) => {
    signal.throwIfAborted()
    const name = `effect_cancellation_benchmark_${process.pid}_${databases++}`
    await query(`CREATE DATABASE ${name} TEMPLATE template0`)
    const itsUrl = new URL(url)
    itsUrl.pathname = `/${name}`
    try {
      signal.throwIfAborted()
      return await work(itsUrl.href)
    } finally {
      // A result is not lost for it.
      await query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`).catch((error: unknown) => {
        process.exitCode = 1
        console.error(`The database ${name} could not be dropped: ${reasonOf(error)}`)
      })
    }
  }
}

// The demo knows how to run PostgreSQL on a machine that has none, as root too; it says where in a
// file.
const startOwn = async (signal: AbortSignal) => {
  const data = await mkdtemp(path.join(os.tmpdir(), "effect-cancellation-benchmark-"))
  // The user who runs PostgreSQL where root may not must come through it.
  await chmod(data, 0o711)
  const { DATABASE_URL: _url, OPENAI_API_KEY: _key, ...environment } = process.env
  // In a group of its own: a Ctrl-C must not end it before the databases on it are dropped.
  const demo = startKeptGroup(
    path.join(import.meta.dirname, "..", "..", "demo", "src", "postgres.ts"),
    [],
    {
      env: { ...environment, DEMO_DATA: data, PORT: "0" },
      stdio: ["ignore", "ignore", "pipe", "ipc"]
    }
  )
  let said = ""
  demo.stderr?.on("data", (text) => (said += text))
  const close = async () => {
    if (isRunning(demo)) {
      demo.kill("SIGTERM")
      await once(demo, "exit")
    }
    await rm(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  const file = path.join(data, "postgres", "url")
  while (isRunning(demo) && !signal.aborted) {
    const url = await readFile(file, "utf8").catch(() => undefined)
    if (url !== undefined) return { url: inPostgres(url.trim()), close }
    await pause(50)
  }
  await close()
  signal.throwIfAborted()
  throw new Error(withoutAdvice(said))
}

// The last line that the demo said; what it advises is for the demo, and its log is removed.
const withoutAdvice = (said: string): string => {
  const line = said.trim().split("\n").at(-1) || "it does not say why"
  return line.replace(/ With one of your own: .*| \(the rest is in .*\)/, "").replace(/\.$/, "")
}

// The database that every server has.
const inPostgres = (text: string): string => {
  const url = new URL(text)
  url.pathname = "/postgres"
  return url.href
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null
