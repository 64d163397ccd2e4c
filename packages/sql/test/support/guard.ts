// Ends the programs of a sandbox and removes its folder as soon as the process that started it lets
// go of the input: because it is done with it, or because it was killed.
import { rmSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout } from "node:timers/promises"

const folder = process.argv[2]
const running = new Set<number>()

for await (const line of createInterface({ input: process.stdin })) {
  const pid = Number(line.slice(1))
  if (line.startsWith("+")) running.add(pid)
  else running.delete(pid)
}

const send = (signal: NodeJS.Signals | 0) => {
  for (const pid of running) {
    try {
      process.kill(pid, signal)
    } catch {
      running.delete(pid)
    }
  }
}

// PostgreSQL's and PgBouncer's "immediate shutdown"
send("SIGQUIT")
for (let times = 0; running.size > 0 && times < 1000; times++) {
  await setTimeout(10)
  send(0)
}
send("SIGKILL")
if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
