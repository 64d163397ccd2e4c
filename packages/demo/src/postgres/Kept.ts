/**
 * Programs that end with this process, even if it is killed.
 *
 * Each has a keeper, which is deaf to the terminal and ends it when its own input ends.
 */
import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import path from "node:path"
import * as Effect from "effect/Effect"
import type { User } from "./User.ts"

export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Where it works. */
  readonly folder: string
  /** The file that takes what it says; begun anew. */
  readonly log: string
  /** Who it runs as, if not the present user. */
  readonly user: User | undefined
}

/** Starts a program; it is asked to end with the scope, and waited for, but not for ever. */
export const start = (program: Program) =>
  Effect.acquireRelease(
    Effect.sync(() => spawnKept(program)),
    ({ ended, release }) =>
      Effect.suspend(() => {
        release()
        return Effect.timeoutOption(Effect.interruptible(ended), "1 second")
      })
  )

const spawnKept = ({ args, command, folder, log, user }: Program) => {
  const output = openSync(log, "w", 0o600)
  const keeper = spawn(
    process.execPath,
    [
      path.join(import.meta.dirname, "keeper.ts"),
      String(user?.uid ?? ""),
      String(user?.gid ?? ""),
      command,
      ...args
    ],
    // a session of its own, which no Ctrl-C and no closed terminal reaches
    { cwd: folder, detached: true, stdio: ["pipe", output, output] }
  )
  closeSync(output)
  // it may be gone already
  keeper.stdin?.on("error", () => {})
  const exit = new Promise<number>((resolve) => {
    keeper.once("error", () => resolve(1))
    keeper.once("exit", (code) => resolve(code ?? 1))
  })
  return {
    /** Its exit code. */
    ended: Effect.promise(() => exit),
    release: () => {
      keeper.stdin?.end()
      // should it take its time, this process need not stay for it
      keeper.unref()
    }
  }
}
