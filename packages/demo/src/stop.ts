/**
 * `npm run stop -- <messageId>` and `npm run stop -- --all`: stops what another process runs.
 */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { MessageId, type RunRecord } from "effect-cancellation"
import { nameOf } from "./Person.ts"
import { Refusal, runProgram } from "./Refusal.ts"
import { findByMessage, layer, patience, runningRuns, stopAndWait } from "./RunningRuns.ts"
import { SignsOfLife } from "./SignsOfLife.ts"
import { whole } from "./StopView.ts"
import { usage } from "./Usage.ts"
import { age, outcomeInWords, silence } from "./words.ts"

const howTo = usage("Usage: npm run stop -- <messageId>, or npm run stop -- --all", [
  "DEMO_DATA",
  "DATABASE_URL"
])

const stopOne = Effect.fnUntraced(function* (argument: string) {
  const messageId = yield* Effect.mapError(
    Schema.decodeUnknownEffect(MessageId)(argument),
    () => new Refusal({ line: `That is no message id. ${howTo.line}` })
  )
  const record = yield* findByMessage(messageId)
  if (record === undefined) {
    return yield* new Refusal({
      line: `There is no message ${messageId}. npm run messages lists what runs.`
    })
  }
  if (record.outcome !== undefined) {
    return yield* new Refusal({
      line: `Message ${messageId} has ended already: ${outcomeInWords(record.outcome)}.`
    })
  }
  yield* report(record, yield* stopAndWait(record.run))
})

const stopAll = Effect.gen(function* () {
  const records = yield* runningRuns
  if (records.length === 0) return yield* Console.log("Nothing runs.")
  const ends = yield* Effect.forEach(
    records,
    (record) =>
      Effect.result(Effect.flatMap(stopAndWait(record.run), (end) => report(record, end))),
    { concurrency: "unbounded" }
  )
  yield* Effect.forEach(ends, Effect.fromResult, { discard: true })
})

const report = Effect.fnUntraced(function* ({ run }: RunRecord, end: RunRecord | undefined) {
  const { messageId, userId } = run.ref
  const name = nameOf(userId)
  const whose = name === undefined ? "" : ` (${name}'s)`
  const { endedAt, outcome, request } = end ?? {}
  if (end === undefined) {
    return yield* new Refusal({ line: `Message ${messageId} is gone: somebody deleted it.` })
  }
  if (outcome === undefined || endedAt === undefined || request === undefined) {
    const { silences } = yield* SignsOfLife
    const silent = (yield* silences([end]))(end)
    return yield* new Refusal({
      line:
        silent === undefined
          ? `Message ${messageId} was asked to stop, but has not ended within ${age(Duration.toMillis(patience))}. The wish is kept; is its server running?`
          : `Message ${messageId} was asked to stop, but of its server there is ${silence(silent)}. The wish is kept.`
    })
  }
  if (outcome === "stopped") {
    return yield* Console.log(
      `Stopped ${messageId}${whose} in ${whole(endedAt) - whole(request.userAbortedAt)} ms.`
    )
  }
  yield* Console.log(
    `Message ${messageId} ended before it saw the stop: ${outcomeInWords(outcome)}.`
  )
})

const refuse = (line: string) => Effect.fail(new Refusal({ line }))

runProgram(howTo, ([argument, ...more]) => {
  if (argument === undefined || more.length > 0) return refuse(howTo.line)
  if (argument === "--all") return Effect.provide(stopAll, layer)
  return argument.startsWith("--")
    ? refuse(`${argument} is no option. ${howTo.line}`)
    : Effect.provide(stopOne(argument), layer)
})
