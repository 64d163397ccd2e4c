/**
 * Processes that end with this one, even if it is killed.
 */
import { type ChildProcess, fork, type ForkOptions } from "node:child_process"

const hasGroups = process.platform !== "win32"

const endWithParent = `data:text/javascript,${encodeURIComponent(
  `process.on("disconnect",()=>process.kill(process.pid,"SIGTERM"))`
)}`

/** Starts a module in a process that ends with this one. */
export const startKept = (
  file: string,
  args: ReadonlyArray<string>,
  { execArgv = [], ...options }: ForkOptions = {}
): ChildProcess =>
  fork(file, args, {
    ...options,
    // It listens before the module is loaded, which takes a while.
    execArgv: ["--import", endWithParent, "--disable-warning=ExperimentalWarning", ...execArgv]
  })

/**
 * The same in a process group of its own: no Ctrl-C reaches it, and it and all that it has started
 * can be killed.
 */
export const startKeptGroup = (
  file: string,
  args: ReadonlyArray<string>,
  options: ForkOptions
): ChildProcess => startKept(file, args, { ...options, detached: hasGroups })

/** Kills a process and all of its group. */
export const killGroup = ({ pid }: ChildProcess): void => {
  if (pid === undefined) return
  try {
    process.kill(hasGroups ? -pid : pid, "SIGKILL")
  } catch {
    // It has ended by itself.
  }
}
