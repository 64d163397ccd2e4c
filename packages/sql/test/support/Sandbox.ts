/** A temporary folder and the programs that work in it, none of which outlives the tests. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export class CannotRun extends Data.TaggedError("CannotRun")<{
  readonly message: string
}> {}

export interface Program {
  readonly pid: number
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  readonly isRunning: () => boolean
  readonly exitCode: Effect.Effect<number | null>
  /** What it has written, after what programs of the same name have written before it. */
  readonly output: () => string
}

export interface Sandbox {
  readonly folder: string
  /** Writes a file that the programs may read, and answers its path. */
  readonly write: (name: string, text: string) => Effect.Effect<string>
  readonly start: (
    command: string,
    args: ReadonlyArray<string>
  ) => Effect.Effect<Program, CannotRun>
}

const idOfNobody = (which: "-u" | "-g") =>
  Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }))

/**
 * PostgreSQL and PgBouncer do not run as root. Every machine has the user `nobody`, so that none
 * has to be made.
 */
export const user: { readonly uid: number; readonly gid: number } | undefined =
  process.getuid?.() === 0 ? { uid: idOfNobody("-u"), gid: idOfNobody("-g") } : undefined

export const make = Effect.gen(function* () {
  const { folder, guard } = yield* Effect.acquireRelease(Effect.sync(open), close)
  return {
    folder,
    write: (name, text) =>
      Effect.sync(() => {
        const file = path.join(folder, name)
        writeFileSync(file, text)
        if (user !== undefined) chownSync(file, user.uid, user.gid)
        return file
      }),
    start: (command, args) => start(folder, guard, command, args)
  } satisfies Sandbox
})

interface Opened {
  readonly folder: string
  readonly guard: ChildProcess
}

const open = (): Opened => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  // detached: Ctrl-C and what kills a process group do not reach it
  const guard = spawn(process.execPath, [path.join(import.meta.dirname, "guard.ts"), folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  guard.on("error", () => {})
  guard.stdin?.on("error", () => {})
  guard.unref()
  return { folder, guard }
}

// What happens here is what happens when this process crashes: the guard's input ends.
const close = ({ guard }: Opened) =>
  Effect.callback<void>((resume) => {
    if (!isRunning(guard)) return resume(Effect.void)
    guard.ref()
    guard.once("exit", () => resume(Effect.void))
    guard.stdin?.end()
  })

const isRunning = ({ exitCode, pid, signalCode }: ChildProcess) =>
  pid !== undefined && exitCode === null && signalCode === null

const start = (
  folder: string,
  guard: ChildProcess,
  command: string,
  args: ReadonlyArray<string>
): Effect.Effect<Program, CannotRun> =>
  Effect.callback((resume) => {
    const name = path.basename(command)
    const log = path.join(folder, `${name}.log`)
    // a file and no pipe: the program can write as long as it lives
    const output = openSync(log, "a")
    const child = spawn(command, args, {
      ...user,
      cwd: folder,
      detached: true,
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", output, output]
    })
    closeSync(output)
    child.unref()
    const { pid } = child
    child.once("error", (error) =>
      resume(Effect.fail(new CannotRun({ message: `${name} does not start: ${error.message}` })))
    )
    if (pid === undefined) return
    guard.stdin?.write(`+${pid}\n`)
    const ended = new Promise<number | null>((resolve) => {
      child.once("exit", (code) => {
        guard.stdin?.write(`-${pid}\n`)
        resolve(code)
      })
    })
    resume(
      Effect.succeed({
        pid,
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        isRunning: () => isRunning(child),
        exitCode: Effect.promise(() => {
          // else Node may think that there is nothing left to wait for
          child.ref()
          return ended
        }),
        output: () => readFileSync(log, "utf8")
      })
    )
  })
