/**
 * The PostgreSQL that the parts share: the server at `DATABASE_URL`, or one of our own.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export interface Server {
  /** Makes an empty database, and drops it when the work is done. */
  readonly withDatabase: <A>(work: (url: string) => Promise<A>) => Promise<A>
  readonly close: () => Promise<void>
}

export const openServer = async (given: string | undefined): Promise<Server> => {
  const own = given === undefined ? await startOwn() : { url: given, close: async () => {} }
  let databases = 0
  const query = (statement: string): Promise<unknown> =>
    PgConnection.make({ url: Redacted.make(own.url) }).pipe(
      Effect.flatMap((connection) => connection.query(statement)),
      Effect.scoped,
      Effect.runPromise
    )
  return {
    withDatabase: async (work) => {
      const name = `effect_cancellation_benchmark_${process.pid}_${databases++}`
      await query(`CREATE DATABASE ${name} TEMPLATE template0`)
      const url = new URL(own.url)
      url.pathname = `/${name}`
      try {
        return await work(url.href)
      } finally {
        await query(`DROP DATABASE ${name} WITH (FORCE)`)
      }
    },
    close: own.close
  }
}

// The demo knows how to run PostgreSQL on a machine that has none, as root too; it says where in a
// file.
const startOwn = async () => {
  const data = await mkdtemp(path.join(os.tmpdir(), "effect-cancellation-benchmark-"))
  // The user who runs PostgreSQL where root may not must come through it.
  await chmod(data, 0o711)
  const { DATABASE_URL: _url, OPENAI_API_KEY: _key, ...environment } = process.env
  const demo = fork(path.join(import.meta.dirname, "..", "..", "demo", "src", "postgres.ts"), {
    env: { ...environment, DEMO_DATA: data, PORT: "0" },
    // It ends with this process, even if that is killed.
    execArgv: ["--import", `data:text/javascript,${encodeURIComponent(endWithParent)}`],
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  let said = ""
  demo.stdout?.on("data", (text) => (said += text))
  demo.stderr?.on("data", (text) => (said += text))
  const close = async () => {
    if (isRunning(demo)) {
      demo.kill("SIGTERM")
      await once(demo, "exit")
    }
    await rm(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  const file = path.join(data, "postgres", "url")
  while (isRunning(demo)) {
    const url = await readFile(file, "utf8").catch(() => undefined)
    if (url !== undefined) return { url: inPostgres(url.trim()), close }
    await pause(50)
  }
  await close()
  throw new Error(
    `No PostgreSQL could be started here. DATABASE_URL=postgres://... npm run bench takes yours.\n${said}`
  )
}

const endWithParent = `process.on("disconnect",()=>process.kill(process.pid,"SIGTERM"))`

// The database that every server has.
const inPostgres = (text: string): string => {
  const url = new URL(text)
  url.pathname = "/postgres"
  return url.href
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null
