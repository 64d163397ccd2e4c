// A tool's child process, that says on a connection to the test which signals it gets. The connection
// is closed by the system when it is gone, however it went.
import { spawn } from "node:child_process"
import { connect } from "node:net"

const [port = "", name = "", ...behaviour] = process.argv.slice(2)
const does = (what: string) => behaviour.includes(what)

const test = connect({ port: Number(port), host: "127.0.0.1" })
const say = (line: string, then = () => {}) => test.write(`${line}\n`, then)

process.on("SIGTERM", () => {
  // More than a pipe holds, written before it ends.
  if (does("last-words")) process.stdout.write("x".repeat(1_000_000))
  say("SIGTERM", () => {
    if (!does("stay")) process.exit(0)
  })
})

// What the test says: end by yourself.
test.on("data", () => process.exit(0))

if (does("parent")) {
  const child = behaviour.filter((what) => what !== "parent")
  spawn(process.execPath, [import.meta.filename, port, `${name}'s child`, "stay", ...child], {
    stdio: "inherit"
  })
}

process.stdout.write(`${name} was here\n`, () => say(`${name} ${process.pid}`))
