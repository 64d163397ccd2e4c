/**
 * From the request of a stop to the interrupt where nothing is pushed.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { type MessageRef, MessageRepo } from "effect-cancellation"
import { messagesOf, now, runInProcess, startAgents, storesOn, untilRunning } from "../agents.ts"
import type { Bar, Figure, Part } from "../Part.ts"
import { startRequester, stopOf } from "../requester.ts"
import { median, percentile } from "../statistics.ts"

export const latencyPolling: Part = {
  name: "latency-polling",
  about: "stop to interrupt in another process, PostgreSQL without push; interval 2 s",
  needsDatabase: true,
  run: ({ databaseUrl = "", quick }) =>
    Effect.gen(function* () {
      const context = yield* Layer.build(storesOn(databaseUrl, { notify: false }))
      const order = yield* startRequester(databaseUrl)
      const millis = quick ? 2000 : 14_000
      const sizes = quick ? [1000] : [1, 1000, 10_000]
      const all = yield* Effect.forEach(sizes, (size) => Effect.provide(start(size), context), {
        concurrency: "unbounded"
      })
      const stops = quick ? 400 : 500
      // At moments that have nothing to do with the ticks.
      const requests = all.flatMap(({ refs }) =>
        refs.slice(0, stops).map((ref) => stopOf(ref, Math.random() * millis))
      )
      const { began } = yield* order(requests)
      yield* Effect.forEach(
        all.flatMap(({ agents }) => agents.slice(0, stops)),
        Fiber.await,
        { discard: true }
      )
      const times = all.map(({ moments, refs }, index) =>
        refs.slice(0, stops).map(({ messageId }, place) => ({
          after: requests[index * stops + place]?.after ?? 0,
          took: (moments.get(messageId) ?? Number.NaN) - (began[index * stops + place] ?? 0)
        }))
      )
      const rounds = millis / 2000
      return {
        figures: times.flatMap((one, index): ReadonlyArray<Figure> => {
          const inRound = Array.from({ length: rounds }, (_, round) =>
            one.filter(({ after }) => Math.floor(after / 2000) === round).map(({ took }) => took)
          )
          return [0.5, 0.99].map((part) => ({
            name: `${label(sizes[index])}, p${part * 100}`,
            unit: "ms",
            rounds: inRound.map((took) => percentile(took, part))
          }))
        }),
        bars: times.flatMap((one, index): ReadonlyArray<Bar> => {
          const took = one.map((time) => time.took / 1000)
          return [
            {
              name: `${label(sizes[index])}, p50`,
              unit: "s",
              value: median(took),
              atMost: 1.05
            },
            {
              name: `${label(sizes[index])}, p99`,
              unit: "s",
              value: percentile(took, 0.99),
              atMost: 2.1
            }
          ]
        }),
        notes: [
          `${stops} stops of each size at random moments of ${millis / 1000} s; a round is 2 s. All sizes are watched at the same time.`,
          ...(quick ? [] : ["1 run is 500 repos of one run each, whose ticks fall as they like."])
        ]
      }
    }).pipe(runInProcess)
}

const label = (size = 0): string => `${size} runs: requestStop to interrupt`

const start = Effect.fnUntraced(function* (size: number) {
  const group = `polling${size}`
  const refs = messagesOf(group, size === 1 ? 500 : size)
  const moments = new Map<string, number>()
  const begin = (some: ReadonlyArray<MessageRef>) =>
    Effect.flatMap(Layer.build(Layer.fresh(MessageRepo.layer())), (repo) =>
      Effect.provide(
        startAgents(some, {
          onInterrupt: ({ messageId }) => void moments.set(messageId, now())
        }),
        repo
      )
    )
  const agents =
    size > 1 ? yield* begin(refs) : (yield* Effect.forEach(refs, (ref) => begin([ref]))).flat()
  yield* untilRunning(group, (running) => running === refs.length)
  return { refs, moments, agents }
})
