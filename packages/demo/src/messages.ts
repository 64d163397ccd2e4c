/**
 * `npm run messages`: lists what runs now.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { MessageStore } from "effect-cancellation"
import { runProgram, withoutArguments } from "./Refusal.ts"
import { age, layer, runningRuns } from "./RunningRuns.ts"
import { storeTime } from "./storeTime.ts"

const program = Effect.gen(function* () {
  const records = yield* runningRuns
  if (records.length === 0) return yield* Console.log("Nothing runs.")
  const now = yield* storeTime(yield* MessageStore)
  const rows = records.map(({ request, run, startedAt }) => [
    run.ref.messageId,
    run.ref.chatId,
    age(now - startedAt),
    request === undefined ? "running" : "stopping"
  ])
  yield* Console.log(table([["MESSAGE", "CHAT", "SINCE", "STATE"], ...rows]))
})

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

const usage = "Usage: npm run messages (it lists what runs now)"

runProgram(usage, withoutArguments(usage, Effect.provide(program, layer)))
