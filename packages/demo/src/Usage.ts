/**
 * How the programs of the demo are used, for `--help`.
 */
import * as Effect from "effect/Effect"
import type { Refusal } from "./Refusal.ts"
import { userFolder } from "./Settings.ts"

export interface Usage {
  /** One line, for somebody who made a mistake. */
  readonly line: string
  /** All of it. */
  readonly help: Effect.Effect<string, Refusal>
}

/** The variables that a program reads, each in a few words. */
type Variable =
  | "PORT"
  | "DEMO_DATA"
  | "DATABASE_URL"
  | "DEMO_ON_DISCONNECT"
  | "OPENAI_API_KEY"
  | "OPENAI_BASE_URL"
  | "OPENAI_MODEL"

/** `folder` is where the data is if nothing else is said, as it is on this machine. */
export const usage = (
  line: string,
  variables: ReadonlyArray<Variable>,
  folder: Effect.Effect<string, Refusal> = userFolder
): Usage => ({
  line,
  help: Effect.map(folder, (defaultFolder) => {
    const words: Record<Variable, ReadonlyArray<string>> = {
      PORT: ["where the page is served; 0 takes any free port. Default: 3000"],
      DEMO_DATA: [`the folder of the data. Default: ${defaultFolder}`],
      DATABASE_URL: [
        "a PostgreSQL in place of the SQLite file in that folder, such as",
        "postgres://user:password@localhost:5432/database"
      ],
      DEMO_ON_DISCONNECT: [
        "stop: an answer whose asker has closed the page is stopped after",
        "some seconds. Default: continue, which lets it be written to its end"
      ],
      OPENAI_API_KEY: [
        "a model answers in place of the scripted one, on any server that",
        "speaks chat completions (for one that wants no key: any word)"
      ],
      OPENAI_BASE_URL: ["that server, such as http://localhost:11434/v1. Default: OpenAI's"],
      OPENAI_MODEL: ["the name of the model. Default: gpt-5-mini"]
    }
    const lines = variables.flatMap((name) =>
      words[name].map((text, index) => `  ${(index === 0 ? name : "").padEnd(20)}${text}`)
    )
    return [line, "", "Variables; one that is empty counts as not set:", ...lines].join("\n")
  })
})
