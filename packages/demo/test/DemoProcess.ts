// The demo as its users start it: processes of their own, with only a database in common.
import { type ChildProcess, spawn } from "node:child_process"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

const source = path.join(import.meta.dirname, "..", "src")

/** Variables, above all those that name a database. */
export type Environment = Readonly<Record<string, string | undefined>>

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

interface Started {
  readonly child: ChildProcess
  readonly output: () => { readonly stdout: string; readonly stderr: string }
  readonly ended: Promise<Ended>
}

// What is set where the tests run is not theirs.
const unset = Object.fromEntries(
  [
    "DATABASE_URL",
    "DEMO_DATA",
    "DEMO_ON_DISCONNECT",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL"
  ].map((name) => [name, undefined])
)

const start = (script: string, args: ReadonlyArray<string>, env: Environment): Started => {
  const child = spawn(process.execPath, [path.join(source, script), ...args], {
    env: { ...process.env, ...unset, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (data) => (stdout += String(data)))
  child.stderr.on("data", (data) => (stderr += String(data)))
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  return { child, ended, output: () => ({ stdout, stderr }) }
}

type Script = "main.ts" | "postgres.ts"

/** Runs a program of the demo to its end. */
export const run = (
  script: Script | "stop.ts" | "messages.ts",
  args: ReadonlyArray<string>,
  env: Environment
) =>
  Effect.acquireUseRelease(
    Effect.sync(() => start(script, args, env)),
    ({ ended }) => Effect.promise(() => ended),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

export interface Server {
  readonly url: string
  readonly port: number
  readonly banner: string
  readonly output: Started["output"]
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
}

/** Starts a server on any free port; it is killed with the scope if it still runs. */
export const startServer = Effect.fnUntraced(function* (
  env: Environment,
  options: { readonly speed?: number; readonly port?: number; readonly script?: Script } = {}
) {
  const { child, ended, output } = yield* Effect.acquireRelease(
    Effect.sync(() =>
      start(options.script ?? "main.ts", [], {
        PORT: String(options.port ?? 0),
        DEMO_SPEED: String(options.speed ?? 1),
        ...env
      })
    ),
    (started) =>
      Effect.promise(() => {
        started.child.kill("SIGKILL")
        return started.ended
      })
  )
  const banner = yield* until(
    Effect.sync(() => output().stdout),
    (text) => text.includes("Ctrl-C") || child.exitCode !== null
  )
  const url = /http:\/\/127\.0\.0\.1:(\d+)/.exec(banner)
  if (url === null) throw new Error(`The server did not start: ${JSON.stringify(output())}`)
  return {
    url: url[0],
    port: Number(url[1]),
    banner,
    output,
    signal: (name) => Effect.sync(() => void child.kill(name)),
    ended: Effect.promise(() => ended)
  } satisfies Server
})

/** Looks again until it is as wanted. Dies with what it saw last if that does not happen. */
export const until = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  accept: (seen: A) => boolean,
  limit: `${number} seconds` = "50 seconds"
) =>
  Effect.repeat(look, {
    schedule: Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: limit })),
    until: accept
  }).pipe(
    Effect.flatMap((last) =>
      accept(last)
        ? Effect.succeed(last)
        : Effect.die(new Error(`Not within ${limit}; last seen: ${JSON.stringify(last)}`))
    )
  )
