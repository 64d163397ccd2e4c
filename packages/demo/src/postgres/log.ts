import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"

/** Why a program of PostgreSQL did not do its work, in its own words. */
export const reasonIn = (log: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const text = await readFile(log, "utf8").catch(() => "")
    const reasons = Array.from(text.matchAll(/(?:FATAL|PANIC|error): +(.+)/g), ([, said]) => said)
    return `${reasons.at(-1) ?? "it does not say why"} (the rest is in ${log})`
  })
