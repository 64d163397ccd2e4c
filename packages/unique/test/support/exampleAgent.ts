/** The example of an agent behind a webhook, as a process of its own. */
import { spawn } from "node:child_process"
import path from "node:path"
import { createInterface } from "node:readline"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Platform } from "./PlatformServer.ts"

export interface ExampleAgent {
  /** Where the platform delivers its events. */
  readonly webhook: string
  readonly secret: string
  /** What it has logged. */
  readonly lines: ReadonlyArray<string>
  /** Waits for a line that has these words; an earlier one counts. Dies if the process ends first. */
  readonly logged: (words: string) => Effect.Effect<string>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Its exit code, or the signal that ended it, once it has ended. */
  readonly exited: Effect.Effect<number | string>
}

const main = path.join(import.meta.dirname, "../../examples/webhook.ts")

/** Starts it for a platform; it is killed with the scope. */
export const startExampleAgent = Effect.fnUntraced(function* (
  { apiKey, appId, baseUrl }: Pick<Platform, "apiKey" | "appId" | "baseUrl">,
  env: Readonly<Record<string, string>> = {}
): Effect.fn.Return<ExampleAgent, never, Scope.Scope> {
  const secret = crypto.randomUUID()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [main], {
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          PATH: process.env["PATH"],
          UNIQUE_API_KEY: apiKey,
          UNIQUE_APP_ID: appId,
          UNIQUE_API_BASE_URL: baseUrl,
          UNIQUE_WEBHOOK_SECRET: secret,
          PORT: "0",
          ...env
        }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

  const lines: Array<string> = []
  const waiting = new Map<string, Deferred.Deferred<string>>()
  for (const output of [child.stdout, child.stderr]) {
    createInterface(output).on("line", (line) => {
      lines.push(line)
      for (const [words, found] of waiting) {
        if (line.includes(words)) Deferred.doneUnsafe(found, Effect.succeed(line))
      }
    })
  }
  const ended = Deferred.makeUnsafe<number | string>()
  child.on("close", (code, signal) => {
    Deferred.doneUnsafe(ended, Effect.succeed(code ?? signal ?? "unknown"))
  })
  const early = Effect.flatMap(Deferred.await(ended), (end) =>
    Effect.die(new Error(`the agent has ended (${end}):\n${lines.join("\n")}`))
  )

  const logged = (words: string) =>
    Effect.suspend(() => {
      const known = lines.find((line) => line.includes(words))
      if (known !== undefined) return Effect.succeed(known)
      const found = waiting.get(words) ?? Deferred.makeUnsafe<string>()
      waiting.set(words, found)
      return Effect.raceFirst(Deferred.await(found), early)
    })

  const port = /:(\d+)\/?$/.exec((yield* logged("Listening on")).trim())?.[1]
  return {
    webhook: `http://127.0.0.1:${port}/webhook`,
    secret,
    lines,
    logged,
    kill: (signal) => Effect.sync(() => void child.kill(signal)),
    exited: Deferred.await(ended)
  }
})
