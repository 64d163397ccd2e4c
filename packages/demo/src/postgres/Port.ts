/**
 * The port of a PostgreSQL of our own: the same as the last time, so that a URL somebody has still
 * works, or another one if that is taken.
 */
import { readFile, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import path from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Refusal } from "../Refusal.ts"
import { inFolder } from "./Cluster.ts"

const fileIn = (folder: string) => path.join(folder, "port")

/** A port that is free now. */
export const choosePort = Effect.fnUntraced(function* (folder: string) {
  const text = yield* Effect.promise(() => readFile(fileIn(folder), "utf8").catch(() => ""))
  const kept = Number(text)
  if (!Number.isInteger(kept) || kept < 1 || kept > 65_535) return yield* portLike(0)
  const moved = Effect.tap(portLike(0), (port) =>
    Console.log(
      `Port ${kept}, where this PostgreSQL was before, is taken; now it is on port ${port}. A DATABASE_URL from before does not reach it.`
    )
  )
  return yield* portLike(kept).pipe(Effect.catch(() => moved))
})

/** Notes the port for the next start. */
export const keepPort = (folder: string, port: number): Effect.Effect<void, Refusal> =>
  inFolder(folder, () => writeFile(fileIn(folder), `${port}\n`, { mode: 0o600 }))

// 0 is any port.
const portLike = (wanted: number) =>
  Effect.callback<number, Refusal>((resume) => {
    const server = createServer()
    server.once("error", (error) =>
      resume(Effect.fail(new Refusal({ line: `There is no free port: ${error.message}` })))
    )
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      )
    })
  })
