/**
 * `streamWithCancellation`: 100,000 chunks of one element.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CancellationWatcher } from "effect-cancellation"
import type { Part } from "../Part.ts"
import { interleaved, repeatedIn } from "../rounds.ts"
import { median, ratios } from "../statistics.ts"
import { inRun } from "../watched.ts"

const chunks = 100_000

const fromIterable = Stream.rechunk(
  Stream.fromIterable(Array.from({ length: chunks }, (_, index) => index)),
  1
)

// Each pull waits for a promise, as it does for a model.
const fromAsyncIterable = Stream.fromAsyncIterable(
  {
    async *[Symbol.asyncIterator]() {
      for (let index = 0; index < chunks; index++) yield index
    }
  },
  (error) => error
)

const kinds = {
  "fromIterable + rechunk(1)": { source: fromIterable, bar: 3 },
  fromAsyncIterable: { source: fromAsyncIterable, bar: 4 }
} as const

export const stream: Part = {
  name: "stream",
  about: "streamWithCancellation over 100,000 chunks of one element",
  needsDatabase: false,
  run: (options) =>
    inRun(
      Effect.gen(function* () {
        const watcher = yield* CancellationWatcher
        const repeatedly = repeatedIn(yield* Effect.context())
        const drained = (source: Stream.Stream<number, unknown>) =>
          repeatedly(Stream.runDrain(source))
        const names = ["fromIterable + rechunk(1)", "fromAsyncIterable"] as const
        const streams = yield* Effect.promise(() =>
          interleaved(
            names.flatMap((name) => {
              const { source } = kinds[name]
              return [
                { name: `${name}: bare`, repeat: drained(source) },
                {
                  name: `${name}: streamWithCancellation`,
                  repeat: drained(watcher.streamWithCancellation(source))
                },
                ...(options.quick
                  ? []
                  : [
                      {
                        name: `${name}: interruptWhen`,
                        repeat: drained(Stream.interruptWhen(source, Effect.never))
                      }
                    ])
              ]
            }),
            options
          )
        )
        const figures = streams.map((figure) => ({
          ...figure,
          name: `${figure.name}, a chunk`,
          rounds: figure.rounds.map((nanos) => nanos / chunks)
        }))
        const roundsOf = (name: string) => figures.find((it) => it.name === name)?.rounds ?? []
        return {
          figures,
          bars: [
            ...names.map((name) => ({
              name: `${name}: times the bare stream`,
              unit: "x" as const,
              value: median(
                ratios(
                  roundsOf(`${name}: streamWithCancellation, a chunk`),
                  roundsOf(`${name}: bare, a chunk`)
                )
              ),
              atMost: kinds[name].bar
            })),
            {
              name: "fromAsyncIterable: a chunk",
              unit: "us" as const,
              value: median(roundsOf("fromAsyncIterable: streamWithCancellation, a chunk")) / 1000,
              atMost: 2.5
            }
          ]
        }
      })
    )
}
