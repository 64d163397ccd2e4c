/**
 * `npm start`: serves the chat until it is told to end.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { HttpServer } from "effect/http"
import { MessageRepo } from "effect-cancellation"
import { runProgram, withoutArguments } from "./Refusal.ts"
import * as Server from "./Server.ts"
import { Settings } from "./Settings.ts"

const program = Effect.gen(function* () {
  const repo = yield* MessageRepo
  // Also says of the runs of a killed process that they are lost, while nothing runs here.
  yield* repo.sweepLost
  yield* banner
  return yield* Effect.onInterrupt(Effect.never, () => shutDown(repo))
})

const banner = Effect.gen(function* () {
  const { file, folder, isFolderGiven } = yield* Settings
  const { address } = yield* HttpServer.HttpServer
  const same = isFolderGiven ? `DEMO_DATA=${quoted(folder)} ` : ""
  yield* Console.log(
    [
      "",
      `  The chat is at   ${NetAddress.formatUrlUnsafe(address)}`,
      `  Its data is in   ${file}`,
      "",
      "  From a second terminal",
      `    ${same}npm run messages                what runs now`,
      `    ${same}npm run stop -- <messageId>     stops it, knowing only the database`,
      `    ${same}npm run stop -- --all           stops all`,
      "",
      "  Ctrl-C ends this.",
      ""
    ].join("\n")
  )
})

// As a shell reads it.
const quoted = (text: string): string =>
  /^[\w./:+@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`

// Answers are saved as interrupted by the shutdown, and pages get a moment to hear of it.
const shutDown = Effect.fnUntraced(function* (repo: MessageRepo["Service"]) {
  yield* repo.drain({ timeout: "400 millis" })
  yield* Effect.sleep("100 millis")
}, Effect.timeoutOption("1 second"))

// Should a disk or a connection hang, the process still ends when it was told to; and npm, which
// waits for it, within two seconds.
const lastResort = () => {
  setTimeout(() => {
    console.error("The end was forced: something did not finish in time. Answers may be cut short.")
    process.exit(130)
  }, 1500).unref()
}
// A terminal that is closed is an end like Ctrl-C.
process.once("SIGHUP", () => process.emit("SIGTERM"))
process.once("SIGINT", lastResort)
process.once("SIGTERM", lastResort)

const usage =
  "Usage: npm start (serves the chat; PORT sets its port, DEMO_DATA the folder of its database)"

runProgram(
  usage,
  withoutArguments(
    usage,
    program.pipe(
      Effect.scoped,
      Effect.provide(Server.layer.pipe(Layer.provideMerge(Settings.layer)))
    )
  )
)
