// An agent in a process of its own: it polls once an hour, so that only a hint can be why it stops.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { CancellationWatcher, MessageRef, StopSignal } from "effect-cancellation"
import { RedisStopSignal } from "../src/index.ts"
import { sqliteRepo } from "./sqliteRepo.ts"

const [filename = "", channel = "", chatId = "", messageId = ""] = process.argv.slice(2)
const url = Redacted.make(process.env["REDIS_URL"] ?? "")
const signal = RedisStopSignal.layer({ url, channel })

const agent = Effect.gen(function* () {
  const watcher = yield* CancellationWatcher
  process.stdout.write("runs\n")
  const { detectedBy } = yield* watcher.cancellation
  process.stdout.write(`stopped by ${detectedBy}\n`)
}).pipe(
  Effect.provide(
    CancellationWatcher.layer({
      ref: MessageRef.of({ chatId, messageId }),
      pollInterval: "1 hour"
    })
  )
)

// the look at everything that follows the subscription is over when the agent begins
const isSubscribed = Effect.flatMap(StopSignal, ({ hints }) =>
  Stream.runDrain(Stream.take(hints, 1))
)

await Effect.runPromise(
  Effect.andThen(isSubscribed, agent).pipe(
    Effect.provide(
      Layer.merge(sqliteRepo(filename, signal), signal).pipe(Layer.provideMerge(Logger.layer([])))
    )
  )
)
