/**
 * `check`: asks the store at once.
 */
import * as Effect from "effect/Effect"
import { CancellationWatcher, MessageStore } from "effect-cancellation"
import { watchByHand } from "../handWritten.ts"
import type { Part } from "../Part.ts"
import { interleaved, repeatedIn } from "../rounds.ts"
import { median, ratios } from "../statistics.ts"
import { inRun } from "../watched.ts"

export const check: Part = {
  name: "check",
  about: "watcher.check on the store in memory",
  needsDatabase: false,
  run: (options) =>
    inRun(
      Effect.gen(function* () {
        const watcher = yield* CancellationWatcher
        const store = yield* MessageStore
        const run = yield* watcher.run
        const read = store.stopRequests([run])
        const byHand = yield* watchByHand({
          isStopped: Effect.map(read, ({ requests }) => requests.length > 0),
          pollInterval: "1 hour",
          pollTimeout: "5 seconds"
        })
        const repeatedly = repeatedIn(yield* Effect.context())
        const floor = "timeout(the store's read)"
        const figures = yield* Effect.promise(() =>
          interleaved(
            [
              { name: "the store's read", repeat: repeatedly(read) },
              { name: floor, repeat: repeatedly(Effect.timeout(read, "5 seconds")) },
              { name: "check", repeat: repeatedly(watcher.check) },
              { name: "check by hand", repeat: repeatedly(byHand.check) }
            ],
            options
          )
        )
        const roundsOf = (name: string) => figures.find((it) => it.name === name)?.rounds ?? []
        return {
          figures,
          bars: [
            {
              name: "check: times timeout(the store's read, pollTimeout)",
              unit: "x" as const,
              value: median(ratios(roundsOf("check"), roundsOf(floor))),
              atMost: 1.3
            }
          ]
        }
      }).pipe(Effect.scoped)
    )
}
