// A child run in a process of its own, with a child of its own: it knows its parent by nothing but
// the stop in the store.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { CancellationWatcher, MessageRef, RunId } from "effect-cancellation"
import { ChildRuns } from "../src/ChildRuns.ts"
import { sqliteRepo } from "./child-processes.fixture.ts"

const [filename = "", chatId = "", messageId = "", runId = "", millis = ""] = process.argv.slice(2)
const pollInterval = Number(millis)

const says = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

const works = (who: string) =>
  Effect.gen(function* () {
    yield* says(`${who} runs`)
    const { detectedBy, request } = yield* CancellationWatcher.cancellation
    yield* says(`${who} stopped: ${request.reason}, by ${detectedBy}`)
  })

const grandchild = works("grandchild").pipe(
  ChildRuns.run({
    ref: MessageRef.of({ chatId, messageId: `${messageId} of it` }),
    runId: RunId.make(`${runId} of it`)
  })
)

const child = Effect.all([works("child"), grandchild], { concurrency: 2 }).pipe(
  Effect.provide(
    CancellationWatcher.layer({
      ref: MessageRef.of({ chatId, messageId }),
      runId: RunId.make(runId),
      pollInterval
    })
  )
)

await Effect.runPromise(
  child.pipe(
    Effect.provide(
      ChildRuns.layer.pipe(Layer.provideMerge(sqliteRepo(filename)), Layer.merge(Logger.layer([])))
    )
  )
)
