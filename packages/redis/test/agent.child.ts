// An agent in a process of its own: it polls once an hour, so that only a hint can be why it stops.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { CancellationWatcher, MessageRef } from "effect-cancellation"
import { sqliteRepo } from "./sqliteRepo.ts"

const [filename = "", channel = "", chatId = "", messageId = ""] = process.argv.slice(2)
const url = Redacted.make(process.env["REDIS_URL"] ?? "")

const agent = Effect.gen(function* () {
  const watcher = yield* CancellationWatcher
  process.stdout.write("runs\n")
  const { detectedBy } = yield* watcher.cancellation
  process.stdout.write(`stopped by ${detectedBy}\n`)
})

await Effect.runPromise(
  agent.pipe(
    Effect.provide(
      CancellationWatcher.layer({
        ref: MessageRef.of({ chatId, messageId }),
        pollInterval: "1 hour"
      }).pipe(
        Layer.provide(sqliteRepo({ filename, url, channel })),
        Layer.provide(Logger.layer([]))
      )
    )
  )
)
