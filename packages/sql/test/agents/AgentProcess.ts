/** A process of agents, as a test sees it. */
import { spawn } from "node:child_process"
import path from "node:path"
import { createInterface } from "node:readline"
import * as Effect from "effect/Effect"
import {
  Command,
  decodeReport,
  encodeCommand,
  encodeSettings,
  type Report,
  type Settings,
  settingsVariable
} from "./messages.ts"

export interface AgentProcess {
  readonly name: string
  readonly send: (command: Command) => Effect.Effect<void>
  readonly sendUnsafe: (command: Command) => void
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  /** Tells it to end, waits until it has, and answers its exit code. */
  readonly drained: Effect.Effect<number | null>
}

const program = path.join(import.meta.dirname, "agents.ts")

/** Starts one; it is killed with the scope if it still runs. */
export const start = Effect.fn("AgentProcess.start")(function* (
  name: string,
  settings: Settings,
  hear: (report: Report) => void
) {
  const spawned = yield* Effect.acquireRelease(
    Effect.sync(() => spawnAgents(settings, hear)),
    ({ child, ended }) =>
      Effect.promise(() => {
        child.kill("SIGKILL")
        return ended
      })
  )
  const sendUnsafe = (command: Command) =>
    void spawned.child.stdin.write(`${encodeCommand(command)}\n`)
  const send = (command: Command) => Effect.sync(() => sendUnsafe(command))
  return {
    name,
    send,
    sendUnsafe,
    signal: (signal) => Effect.sync(() => void spawned.child.kill(signal)),
    drained: Effect.andThen(
      send(Command.cases.Drain.make({})),
      Effect.promise(() => spawned.ended)
    )
  } satisfies AgentProcess
})

const spawnAgents = (settings: Settings, hear: (report: Report) => void) => {
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, [settingsVariable]: encodeSettings(settings) },
    // What it says of itself when it crashes is to be seen.
    stdio: ["pipe", "pipe", "inherit"]
  })
  child.stdin.on("error", () => {})
  createInterface({ input: child.stdout }).on("line", (line) => hear(decodeReport(line)))
  const ended = new Promise<number | null>((resolve) => {
    child.on("close", (code) => resolve(code))
  })
  return { child, ended }
}
