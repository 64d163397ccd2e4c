// A thread of `BrowserClient`: says what a module is without its types.
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { parentPort, workerData } from "node:worker_threads"

const source = stripTypeScriptTypes(readFileSync(new URL(workerData), "utf8"))

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage(source)
