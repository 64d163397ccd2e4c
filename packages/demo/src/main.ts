/**
 * `npm start`: serves the chat until it is told to end.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { HttpServer } from "effect/http"
import { MessageRepo } from "effect-cancellation"
import { runProgram } from "./Refusal.ts"
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
  const { file, givenFolder } = yield* Settings
  const { address } = yield* HttpServer.HttpServer
  const folder = givenFolder === undefined ? "" : `DEMO_DATA=${givenFolder} `
  yield* Console.log(
    [
      "",
      `  The chat is at   ${NetAddress.formatUrlUnsafe(address)}`,
      `  Its data is in   ${file}`,
      "",
      "  From a second terminal",
      `    ${folder}npm run messages                what runs now`,
      `    ${folder}npm run stop -- <messageId>     stops it, knowing only the database`,
      `    ${folder}npm run stop -- --all           stops all`,
      "",
      "  Ctrl-C ends this.",
      ""
    ].join("\n")
  )
})

// Answers are saved as interrupted by the shutdown, and pages get a moment to hear of it.
const shutDown = Effect.fnUntraced(function* (repo: MessageRepo["Service"]) {
  yield* repo.drain({ timeout: "500 millis" })
  yield* Effect.sleep("100 millis")
}, Effect.timeoutOption("1500 millis"))

// Should a disk or a connection hang, the process still ends when it was told to.
const lastResort = () => {
  setTimeout(() => {
    console.error("The end was forced: something did not finish in time. Answers may be cut short.")
    process.exit(130)
  }, 1900).unref()
}
// A terminal that is closed is an end like Ctrl-C.
process.once("SIGHUP", () => process.emit("SIGTERM"))
process.once("SIGINT", lastResort)
process.once("SIGTERM", lastResort)

runProgram(
  program.pipe(Effect.scoped, Effect.provide(Server.layer.pipe(Layer.provideMerge(Settings.layer))))
)
