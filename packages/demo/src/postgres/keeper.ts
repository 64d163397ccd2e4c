/**
 * `keeper.ts <uid> <gid> <command> [arguments]`: runs a program, and ends it when the input ends:
 * because whoever started it wants that, or because it was killed.
 */
import { spawn } from "node:child_process"

const [uid, gid, command = "", ...args] = process.argv.slice(2)

const child = spawn(command, args, {
  ...(uid === "" ? {} : { uid: Number(uid), gid: Number(gid) }),
  // its words are looked at
  env: { ...process.env, LC_ALL: "C" },
  stdio: ["ignore", "inherit", "inherit"]
})
child.once("error", (error) => {
  console.error(`error: ${error.message}`)
  process.exit(1)
})
child.once("exit", (code) => process.exit(code ?? 1))

process.stdin.once("close", () => {
  // PostgreSQL's fast shutdown, and if that takes too long its immediate one
  child.kill("SIGINT")
  setTimeout(() => child.kill("SIGQUIT"), 5000)
})
process.stdin.resume()
