/**
 * `runWithCancellation` around work that is short, where its own cost shows.
 */
import * as Effect from "effect/Effect"
import { CancellationWatcher } from "effect-cancellation"
import { watchByHand } from "../handWritten.ts"
import type { Part } from "../Part.ts"
import { type Contender, interleaved, repeatedIn } from "../rounds.ts"
import { median, ratios } from "../statistics.ts"
import { inRun } from "../watched.ts"

const works = {
  "done at once": Effect.succeed(1),
  "yields once": Effect.as(Effect.yieldNow, 1)
}
const bars = { "done at once": 1.5, "yields once": 1.3 }

export const overhead: Part = {
  name: "overhead",
  about: "runWithCancellation around an effect that is done at once, and one that yields once",
  needsDatabase: false,
  run: (options) =>
    inRun(
      Effect.gen(function* () {
        const watcher = yield* CancellationWatcher
        const byHand = yield* watchByHand({
          isStopped: Effect.succeed(false),
          pollInterval: "1 hour",
          pollTimeout: "5 seconds"
        })
        const repeatedly = repeatedIn(yield* Effect.context())
        const contendersOf = (kind: keyof typeof works): ReadonlyArray<Contender> => {
          const work = works[kind]
          return [
            { name: `${kind}: bare`, repeat: repeatedly(work) },
            {
              name: `${kind}: raceFirst`,
              repeat: repeatedly(Effect.raceFirst(work, Effect.never))
            },
            {
              name: `${kind}: runWithCancellation`,
              repeat: repeatedly(watcher.runWithCancellation(work, { cancelResult: 0 }))
            },
            { name: `${kind}: by hand`, repeat: repeatedly(byHand.runWithCancellation(work)) },
            { name: `${kind}: promises`, repeat: raceOfPromises(kind === "yields once") }
          ]
        }
        const kinds = ["done at once", "yields once"] as const
        const figures = yield* Effect.promise(() =>
          interleaved(kinds.flatMap(contendersOf), options)
        )
        const roundsOf = (name: string) => figures.find((it) => it.name === name)?.rounds ?? []
        return {
          figures,
          bars: kinds.map((kind) => ({
            name: `${kind}: times raceFirst(effect, never)`,
            unit: "x" as const,
            value: median(
              ratios(roundsOf(`${kind}: runWithCancellation`), roundsOf(`${kind}: raceFirst`))
            ),
            atMost: bars[kind]
          }))
        }
      }).pipe(Effect.scoped)
    )
}

// A promise cannot be interrupted: this only answers sooner.
const raceOfPromises = (yields: boolean) => async (times: number) => {
  const controller = new AbortController()
  for (let i = 0; i < times; i++) {
    let stop = (): void => {}
    const stopped = new Promise<number>((resolve) => {
      stop = () => resolve(0)
      controller.signal.addEventListener("abort", stop)
    })
    const work = yields
      ? new Promise((resolve) => setImmediate(() => resolve(1)))
      : Promise.resolve(1)
    await Promise.race([work, stopped])
    controller.signal.removeEventListener("abort", stop)
  }
}
