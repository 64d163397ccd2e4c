/**
 * `isCancelled`: reads the flag.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { CancellationWatcher } from "effect-cancellation"
import type { Part } from "../Part.ts"
import { interleaved, repeatedIn } from "../rounds.ts"
import { median, ratios } from "../statistics.ts"
import { inRun } from "../watched.ts"

export const isCancelled: Part = {
  name: "isCancelled",
  about: "watcher.isCancelled, the flag without I/O",
  needsDatabase: false,
  run: (options) =>
    inRun(
      Effect.gen(function* () {
        const watcher = yield* CancellationWatcher
        const ref = yield* Ref.make(false)
        const controller = new AbortController()
        const repeatedly = repeatedIn(yield* Effect.context())
        const figures = yield* Effect.promise(() =>
          interleaved(
            [
              { name: "Ref.get", repeat: repeatedly(Ref.get(ref)) },
              { name: "isCancelled", repeat: repeatedly(watcher.isCancelled) },
              {
                name: "signal.aborted",
                repeat: async (times) => {
                  let aborted = 0
                  for (let i = 0; i < times; i++) if (controller.signal.aborted) aborted++
                  return aborted
                }
              }
            ],
            options
          )
        )
        const roundsOf = (name: string) => figures.find((it) => it.name === name)?.rounds ?? []
        return {
          figures,
          bars: [
            {
              name: "isCancelled: times Ref.get",
              unit: "x" as const,
              value: median(ratios(roundsOf("isCancelled"), roundsOf("Ref.get"))),
              atMost: 1.1
            }
          ]
        }
      })
    )
}
