/** A real PgBouncer in transaction mode, as many stand in front of a PostgreSQL. */
import { accessSync, constants } from "node:fs"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TestContext } from "vitest"
import { freePort } from "./freePort.ts"
import * as Sandbox from "./Sandbox.ts"
import { until } from "./until.ts"

interface PgBouncer {
  /** The database's URL by way of this PgBouncer. */
  readonly url: Redacted.Redacted
  readonly port: number
}

const isProgram = (file: string) => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Where it is, if it is installed. Debian's is in a folder that only root has on its `PATH`. */
const pgbouncer: string | undefined = [
  ...(process.env["PATH"] ?? "").split(path.delimiter),
  "/usr/sbin"
]
  .map((folder) => path.join(folder, "pgbouncer"))
  .find(isProgram)

/** For `beforeEach`: skips tests that need it. CI has it, and wants these tests run. */
export const skipWithout = (context: TestContext) => {
  if (pgbouncer !== undefined) return
  const reason = "there is no pgbouncer on this machine"
  if (process.env["REQUIRE_PGBOUNCER"] === "1") {
    throw new Error(`${reason}, but REQUIRE_PGBOUNCER=1 wants these tests run`)
  }
  context.skip(reason)
}

/** In front of the database that a URL names; it goes away with the scope. */
export const make = Effect.fn("PgBouncer.make")(function* (database: Redacted.Redacted) {
  const sandbox = yield* Sandbox.make
  const port = yield* freePort
  const url = new URL(Redacted.value(database))
  const config = yield* sandbox.write("pgbouncer.ini", settings(url, port))
  const program = yield* sandbox.start(pgbouncer ?? "pgbouncer", [config])
  yield* until(
    Effect.sync(() => !program.isRunning() || program.output().includes("process up")),
    (isSettled) => isSettled
  )
  if (!program.isRunning()) {
    return yield* new Sandbox.CannotRun({
      message: `PgBouncer does not start:\n${program.output()}`
    })
  }
  url.hostname = "127.0.0.1"
  url.port = String(port)
  return { url: Redacted.make(url.href), port } satisfies PgBouncer
})

const settings = (url: URL, port: number) => {
  const name = decodeURIComponent(url.pathname.slice(1))
  const server = {
    host: url.hostname,
    port: url.port || "5432",
    dbname: name,
    user: decodeURIComponent(url.username) || "postgres",
    password: decodeURIComponent(url.password)
  }
  const fields = Object.entries(server)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}='${value.replaceAll("'", "''")}'`)
  return `[databases]
${name} = ${fields.join(" ")}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
`
}
