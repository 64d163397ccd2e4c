/**
 * From the request of a stop to the interrupt where nothing is pushed.
 */
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { type MessageRef, MessageRepo } from "effect-cancellation"
import {
  messagesOf,
  noteInterrupts,
  now,
  runInProcess,
  startAgents,
  storesOn,
  untilRunning
} from "../agents.ts"
import { addFlags, makeFlags, startPolled } from "../flags.ts"
import type { Bar, Figure, Part } from "../Part.ts"
import { type Request, startRequester, stopOf } from "../requester.ts"
import { median, percentile } from "../statistics.ts"

export const latencyPolling: Part = {
  name: "latency-polling",
  about: "stop to interrupt in another process, PostgreSQL without push; interval 2 s",
  needsDatabase: true,
  run: ({ databaseUrl: url = "", named, quick }) =>
    Effect.gen(function* () {
      const context = yield* Layer.build(storesOn(url, { notify: false }))
      yield* makeFlags(url)
      const order = yield* startRequester(url)
      const stops = quick ? 400 : 500
      const sizes = quick ? [1000] : [1, 1000, 10_000]
      const phase = (watchings: ReadonlyArray<Watching>, millis: number) =>
        stopAtRandom(order, watchings, stops, millis)
      // Before the library's, because so many pollers take the processor and the pool for themselves.
      const byHand = yield* Effect.forEach(named && !quick ? [[1, 1000], [10_000]] : [], (some) =>
        Effect.forEach(some, (size) => startByHand(url, size, stops)).pipe(
          Effect.flatMap((watchings) => phase(watchings, 14_000)),
          Effect.scoped
        )
      )
      const [floor, ...runs] = yield* Effect.all(
        [startFloor(url, stops), ...sizes.map((size) => startRuns(size, stops))],
        { concurrency: "unbounded" }
      ).pipe(Effect.provide(context))
      const together = yield* phase([...runs, floor], quick ? 2000 : 14_000)
      return {
        figures: [...together, ...byHand.flat()].flatMap(figuresOf),
        bars: together.slice(0, runs.length).flatMap(barsOf),
        notes: [
          `${stops} stops of each size at random moments of ${quick ? 2 : 14} s; a round is 2 s. All sizes are watched at the same time.`,
          "Some 70 stops a round are few for a p99; the bar is of all rounds together.",
          "Bare is one SELECT of the flags every 2 s, at the same time; it interrupts nothing.",
          named
            ? "By hand is a poller each, before the rest begins; 1 run is 500 of them, beside the 1,000."
            : "`npm run bench latency-polling` has pollers by hand too.",
          ...(quick ? [] : ["1 run is 500 repos of one run each, whose ticks fall as they like."])
        ]
      }
    }).pipe(runInProcess)
}

/** Runs that are watched, some of which are going to be stopped. */
interface Watching {
  readonly label: string
  readonly kind: Request["kind"]
  /** Those to stop. */
  readonly refs: ReadonlyArray<MessageRef>
  /** When each was interrupted, by message. */
  readonly moments: ReadonlyMap<string, number>
  /** Waits until all of them were. */
  readonly ended: Effect.Effect<unknown>
}

interface Timed {
  readonly label: string
  /** Milliseconds from the request to the interrupt, of the stops of each round. */
  readonly rounds: ReadonlyArray<ReadonlyArray<number>>
}

const figuresOf = ({ label, rounds }: Timed): ReadonlyArray<Figure> =>
  [0.5, 0.99].map((part) => ({
    name: `${label}, p${part * 100}`,
    unit: "ms",
    rounds: rounds.map((took) => percentile(took, part))
  }))

const barsOf = ({ label, rounds }: Timed): ReadonlyArray<Bar> => {
  const took = rounds.flat().map((millis) => millis / 1000)
  return [
    { name: `${label}, p50`, unit: "s", value: median(took), atMost: 1.05 },
    { name: `${label}, p99`, unit: "s", value: percentile(took, 0.99), atMost: 2.1 }
  ]
}

// At moments that have nothing to do with the ticks.
const stopAtRandom = Effect.fnUntraced(function* (
  order: Effect.Success<ReturnType<typeof startRequester>>,
  watchings: ReadonlyArray<Watching>,
  stops: number,
  millis: number
) {
  const requests = watchings.flatMap(({ kind, refs }) =>
    refs.map((ref) => stopOf(ref, Math.random() * millis, kind))
  )
  const { began } = yield* order(requests)
  yield* Effect.forEach(watchings, ({ ended }) => ended, { discard: true })
  return watchings.map(({ label, moments, refs }, index): Timed => {
    const times = refs.map(({ messageId }, place) => ({
      round: Math.floor((requests[index * stops + place]?.after ?? 0) / 2000),
      took: (moments.get(messageId) ?? Number.NaN) - (began[index * stops + place] ?? Number.NaN)
    }))
    return {
      label,
      rounds: Array.from({ length: millis / 2000 }, (_, round) =>
        times.filter((one) => one.round === round).map(({ took }) => took)
      )
    }
  })
})

/** One run is as many repos of one run each as there are stops. */
const startRuns = Effect.fnUntraced(function* (size: number, stops: number) {
  const group = `polling${size}`
  const refs = messagesOf(group, size === 1 ? stops : size)
  const { moments, onInterrupt } = noteInterrupts()
  const begin = (some: ReadonlyArray<MessageRef>) =>
    Effect.flatMap(Layer.build(Layer.fresh(MessageRepo.layer())), (repo) =>
      Effect.provide(startAgents(some, { onInterrupt }), repo)
    )
  const agents =
    size > 1 ? yield* begin(refs) : (yield* Effect.forEach(refs, (ref) => begin([ref]))).flat()
  yield* untilRunning(group, (running) => running === refs.length)
  return {
    label: `${size} runs: requestStop to interrupt`,
    kind: "message",
    refs: refs.slice(0, stops),
    moments,
    ended: Fiber.awaitAll(agents.slice(0, stops))
  } satisfies Watching
})

const startByHand = Effect.fnUntraced(function* (url: string, size: number, stops: number) {
  const refs = messagesOf(`byHand${size}`, size === 1 ? stops : size)
  const { moments, onInterrupt } = noteInterrupts()
  const agents = yield* startPolled(url, refs, { onInterrupt })
  return {
    label: `${size} runs, by hand`,
    kind: "flag at once",
    refs: refs.slice(0, stops),
    moments,
    ended: Fiber.awaitAll(agents.slice(0, stops))
  } satisfies Watching
})

const startFloor = Effect.fnUntraced(function* (url: string, stops: number) {
  const refs = messagesOf("floor", stops)
  yield* addFlags(url, refs)
  const sql = yield* PgClient.PgClient
  const moments = new Map<string, number>()
  const all = yield* Latch.make(false)
  yield* sql<{ readonly id: string }>`
    SELECT id FROM flags WHERE user_aborted_at IS NOT NULL AND id LIKE 'floor-%'`.pipe(
    Effect.map((rows) => {
      for (const { id } of rows) if (!moments.has(id)) moments.set(id, now())
      if (moments.size === stops) all.openUnsafe()
    }),
    Effect.repeat(Schedule.spaced("2 seconds")),
    Effect.forkScoped
  )
  return {
    label: "bare SELECT every 2 s",
    kind: "flag at once",
    refs,
    moments,
    ended: all.await
  } satisfies Watching
})
