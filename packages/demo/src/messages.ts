/**
 * `npm run messages`: lists what runs now.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { MessageStore, type RunRecord } from "effect-cancellation"
import { nameOf } from "./Person.ts"
import { runProgram, withoutArguments } from "./Refusal.ts"
import { layer, runningRuns } from "./RunningRuns.ts"
import { SignsOfLife } from "./SignsOfLife.ts"
import { storeTime } from "./storeTime.ts"
import { usage } from "./Usage.ts"
import { age, silence } from "./words.ts"

const program = Effect.gen(function* () {
  const records = yield* runningRuns
  if (records.length === 0) return yield* Console.log("Nothing runs.")
  const now = yield* storeTime(yield* MessageStore)
  const { silences } = yield* SignsOfLife
  const silenceOf = yield* silences(records)
  const rows = records.map((record) => [
    record.run.ref.messageId,
    record.run.ref.chatId,
    nameOf(record.run.ref.userId) ?? "-",
    age(now - record.startedAt),
    stateOf(record, silenceOf(record))
  ])
  yield* Console.log(table([["MESSAGE", "CHAT", "USER", "SINCE", "STATE"], ...rows]))
})

// Nobody knows whether it still runs while its process is silent.
const stateOf = ({ request }: RunRecord, silent: number | undefined): string => {
  if (silent === undefined) return request === undefined ? "running" : "stopping"
  return request === undefined ? silence(silent) : `stopping, ${silence(silent)}`
}

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0))
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

const howTo = usage("Usage: npm run messages (it lists what runs now)", [
  "DEMO_DATA",
  "DATABASE_URL"
])

runProgram(howTo, withoutArguments(howTo, Effect.provide(program, layer)))
