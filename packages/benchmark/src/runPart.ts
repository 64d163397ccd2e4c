/**
 * Runs a part in a process of its own.
 */
import { mkdtemp, rm } from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import type { Said } from "./child.ts"
import { killGroup, startKeptGroup } from "./kept.ts"
import type { Part, PartOptions, PartResult } from "./Part.ts"

/** Its result; when the signal comes its process is killed, and nothing is left of it. */
export const runPart = async (
  part: Part,
  options: PartOptions,
  signal: AbortSignal
): Promise<PartResult> => {
  // A process that is killed removes nothing, so this one makes and removes what it may write into.
  const folder = await mkdtemp(path.join(os.tmpdir(), "effect-cancellation-benchmark-"))
  try {
    signal.throwIfAborted()
    return await inChild(part, options, folder, signal)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
}

const inChild = (
  part: Part,
  { databaseUrl, ...options }: PartOptions,
  folder: string,
  signal: AbortSignal
): Promise<PartResult> =>
  new Promise((resolve, reject) => {
    const child = startKeptGroup(
      path.join(import.meta.dirname, "child.ts"),
      [part.name, JSON.stringify(options)],
      {
        execArgv: ["--expose-gc"],
        // Everybody on the machine can read the arguments, and the URL may hold a password.
        env: {
          ...process.env,
          DATABASE_URL: databaseUrl,
          TMPDIR: folder,
          TEMP: folder,
          TMP: folder
        },
        stdio: ["ignore", "inherit", "inherit", "ipc"]
      }
    )
    const end = () => killGroup(child)
    signal.addEventListener("abort", end)
    let said: Said | undefined
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- child.ts sends nothing else
    child.on("message", (message) => (said = message as Said))
    child.on("error", reject)
    // An exit may be heard of before the last message, a close is not.
    child.on("close", (code, killedBy) => {
      signal.removeEventListener("abort", end)
      if (said === undefined) {
        reject(new Error(`its process ended with ${code ?? killedBy} and no result`))
      } else if (said._tag === "Failed") reject(new Error(said.reason))
      else resolve(said.result)
    })
  })
