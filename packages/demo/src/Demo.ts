/**
 * The demo as a program: serves the chat until it is told to end.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { HttpServer } from "effect/http"
import { MessageRepo } from "effect-cancellation"
import { nameOf } from "./Database.ts"
import { Drafts } from "./Drafts.ts"
import { makeEnding } from "./Ending.ts"
import { urlFile } from "./postgres/OwnPostgres.ts"
import { type Refusal, runProgram, withoutArguments } from "./Refusal.ts"
import * as Server from "./Server.ts"
import { Settings } from "./Settings.ts"
import type { Usage } from "./Usage.ts"

/** Runs it as this process. */
export const runDemo = (usage: Usage, settings: Layer.Layer<Settings, Refusal>): void => {
  // A terminal that is closed is an end like Ctrl-C.
  process.once("SIGHUP", () => process.emit("SIGTERM"))
  const ending = makeEnding()
  process.once("SIGINT", ending.begin)
  process.once("SIGTERM", ending.begin)
  runProgram(
    usage,
    withoutArguments(
      usage,
      program(ending.watch).pipe(
        Effect.scoped,
        Effect.provide(Server.layer.pipe(Layer.provideMerge(settings)))
      )
    )
  )
}

const program = Effect.fnUntraced(function* (watchUnsaved: (count: () => number) => void) {
  const repo = yield* MessageRepo
  const drafts = yield* Drafts
  watchUnsaved(drafts.count)
  // Also says of the runs of a killed process that they are lost, while nothing runs here.
  yield* repo.sweepLost
  yield* banner
  return yield* Effect.onInterrupt(Effect.never, () => shutDown(repo))
})

const banner = Effect.gen(function* () {
  const settings = yield* Settings
  const { address } = yield* HttpServer.HttpServer
  const { before, prefix, used } = reaching(settings)
  yield* Console.log(
    [
      "",
      `  The chat is at   ${NetAddress.formatUrlUnsafe(address)}`,
      `  Its data is in   ${nameOf(settings.database)}${used}`,
      `  Its model is     ${modelOf(settings)}`,
      "",
      ...before,
      `    ${prefix}npm run messages                what runs now`,
      `    ${prefix}npm run stop -- <messageId>     stops it, knowing only the database`,
      `    ${prefix}npm run stop -- --all           stops all`,
      "",
      "  Ctrl-C ends this.",
      ""
    ].join("\n")
  )
})

const modelOf = ({ isModelNamed, openAi }: Settings["Service"]): string =>
  openAi === undefined
    ? isModelNamed
      ? "a script, since OPENAI_API_KEY is not set; for a server that wants no key set it to any word"
      : "a script (with OPENAI_API_KEY a real one answers)"
    : `${openAi.model} at ${openAi.baseUrl === undefined ? "OpenAI" : new URL(openAi.baseUrl).host}`

// How a second terminal reaches the same database.
const reaching = ({ database, folder, isFolderGiven }: Settings["Service"]) => {
  if (database._tag === "Sqlite") {
    const prefix = isFolderGiven ? `DEMO_DATA=${quoted(folder)} ` : ""
    return { before: ["  From a second terminal"], prefix, used: "" }
  }
  if (database.folder === undefined) {
    const used = isFolderGiven ? " (DATABASE_URL; so DEMO_DATA is not used)" : ""
    return { before: ["  From a second terminal, with the same DATABASE_URL"], prefix: "", used }
  }
  // Its URL holds a password, so it is in a file.
  const line = `    export DATABASE_URL="$(cat ${quoted(urlFile(database.folder))})"`
  return { before: ["  From a second terminal, after this line", line, ""], prefix: "", used: "" }
}

// As a shell reads it.
const quoted = (text: string): string =>
  /^[\w./:+@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`

// Answers are saved as interrupted by the shutdown, and pages get a moment to hear of it.
const shutDown = Effect.fnUntraced(function* (repo: MessageRepo["Service"]) {
  yield* repo.drain({ timeout: "400 millis" })
  yield* Effect.sleep("100 millis")
}, Effect.timeoutOption("1 second"))
