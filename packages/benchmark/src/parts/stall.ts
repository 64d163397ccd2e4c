/**
 * What watching costs the process that does it: how long its event loop stands still, and its
 * processor.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { MessageRef } from "effect-cancellation"
import { messagesOf, repoOn, runInProcess, startKnown, storesOn } from "../agents.ts"
import { watchTimers, watchTurns } from "../eventLoop.ts"
import { makeFlags, startListened, startPolled } from "../flags.ts"
import { type Bar, type Figure, type Part, roundsOfLong } from "../Part.ts"
import { type Request, startRequester, stopOf } from "../requester.ts"
import { median } from "../statistics.ts"

export const stall: Part = {
  name: "stall",
  about: "the event loop while runs are watched (2 s and push) and 100 stops a second arrive",
  needsDatabase: true,
  run: (options) =>
    Effect.gen(function* () {
      const { databaseUrl: url = "", named, quick } = options
      yield* Effect.scoped(Layer.build(storesOn(url)))
      yield* makeFlags(url)
      const size = quick ? 1000 : 10_000
      const rounds = quick ? 1 : 7
      const turns = roundsOfLong(options, 2)
      const others = { url, size, rounds, turns: 0 }
      // Those of one have ended before others are watched: they would count as theirs.
      const held = yield* Effect.scoped(watching(library, { url, size, rounds, turns }))
      const isLong = named && !quick
      const beside = isLong
        ? yield* Effect.forEach([bare, byHand], (one) => Effect.scoped(watching(one, others)))
        : []
      // To start so many takes as long as all the rest.
      const more = isLong
        ? [yield* watching(library, { url, size: 100_000, rounds: 7, turns: 1 })]
        : []
      return {
        figures: [held, ...beside, ...more].flatMap(figuresOf),
        bars: barsOf(held),
        notes: [
          "A round is 2 s, so that each has a tick. Delays are those of a timer that is due every millisecond (monitorEventLoopDelay), which takes some of the processor itself, see the bare fibers; turns are measured from one setImmediate to the next, in rounds of their own.",
          "A turn in which a major garbage collection ended or began is told apart.",
          named
            ? "Bare are fibers that wait and a listener that interrupts the one it hears of, without asking. By hand is a poller each, without push."
            : "`npm run bench stall` has bare fibers, pollers by hand and 100,000 runs too."
        ]
      }
    }).pipe(runInProcess)
}

/** Whose event loop is looked at, while it watches runs that are stopped. */
interface Contender {
  /** Follows the number of runs in the names of its figures. */
  readonly label: string
  readonly kind: Request["kind"]
  readonly start: (
    url: string,
    group: string,
    refs: ReadonlyArray<MessageRef>
  ) => Effect.Effect<ReadonlyArray<Fiber.Fiber<unknown, unknown>>, unknown, Scope.Scope>
}

const library: Contender = {
  label: "",
  kind: "message",
  start: (url, group, refs) =>
    Effect.flatMap(Layer.build(repoOn(url)), (context) =>
      Effect.provide(startKnown(group, refs), context)
    )
}

const bare: Contender = {
  label: ", bare",
  kind: "flag at once",
  start: (url, _, refs) => startListened(url, refs)
}

const byHand: Contender = {
  label: ", by hand",
  kind: "flag at once",
  start: (url, _, refs) => startPolled(url, refs)
}

const watching = Effect.fnUntraced(function* (
  { kind, label, start }: Contender,
  options: {
    readonly url: string
    readonly size: number
    readonly rounds: number
    readonly turns: number
  }
) {
  const { rounds, size, turns, url } = options
  const order = yield* startRequester(url)
  const perRound = 200
  // As many are watched as was said until the last is stopped.
  const group = `stall${size}${label}`
  const refs = messagesOf(group, size + perRound * (rounds + turns))
  const agents = yield* start(url, group, refs)
  globalThis.gc?.()

  const timers = watchTimers()
  yield* Effect.sleep("100 millis")
  timers.take()
  const idle = yield* Effect.replicateEffect(
    Effect.andThen(
      Effect.sleep("2 seconds"),
      Effect.sync(() => timers.take())
    ),
    rounds
  )

  let from = 0
  const stops = Effect.suspend(() => {
    const some = refs.slice(from, from + perRound)
    const ended = agents.slice(from, from + perRound)
    from += perRound
    return Effect.andThen(
      order(some.map((ref, index) => stopOf(ref, index * 10, kind))),
      Fiber.awaitAll(ended)
    )
  })
  timers.take()
  const stopping = yield* Effect.replicateEffect(
    Effect.andThen(
      stops,
      Effect.sync(() => timers.take())
    ),
    rounds
  )
  timers.stop()

  const immediates = watchTurns()
  const long = yield* Effect.replicateEffect(
    Effect.andThen(
      stops,
      Effect.sync(() => immediates.take())
    ),
    turns
  )
  immediates.stop()
  return { label, size, idle, stopping, long }
})

type Watching = Effect.Success<ReturnType<typeof watching>>

const figuresOf = ({ idle, label, long, size, stopping }: Watching): ReadonlyArray<Figure> => [
  ...[
    { when: "100 stops a second", seen: stopping },
    { when: "nothing stops", seen: idle }
  ].flatMap(({ seen, when }): ReadonlyArray<Figure> => {
    const name = (what: string) => `${size} runs${label}, ${when}: ${what}`
    return [
      { name: name("delay, p99"), unit: "ms", rounds: seen.map(({ p99 }) => p99) },
      { name: name("delay, max"), unit: "ms", rounds: seen.map(({ max }) => max) },
      { name: name("major collection, max"), unit: "ms", rounds: seen.map((it) => it.majorGc) },
      { name: name("CPU of one core"), unit: "%", rounds: seen.map(({ cpu }) => cpu) }
    ]
  }),
  ...turnsOf(size, long)
]

const turnsOf = (size: number, long: Watching["long"]): ReadonlyArray<Figure> =>
  long.length === 0
    ? []
    : [
        {
          name: `${size} runs, 100 stops a second: longest turn`,
          unit: "ms",
          rounds: long.map(({ max }) => max)
        },
        {
          name: `${size} runs, 100 stops a second: longest turn without major collection`,
          unit: "ms",
          rounds: long.map(({ maxWithoutGc }) => maxWithoutGc)
        }
      ]

const barsOf = ({ idle, long, size, stopping }: Watching): ReadonlyArray<Bar> => [
  {
    name: `${size} runs: delay, p99`,
    unit: "ms",
    value: median(stopping.map(({ p99 }) => p99)),
    atMost: 10
  },
  {
    name: `${size} runs: delay, max, or longest turn without major collection`,
    unit: "ms",
    value: Math.max(
      // A round with a major collection says nothing of the rest of it.
      ...[...idle, ...stopping].filter(({ majorGc }) => majorGc < 5).map(({ max }) => max),
      ...long.map(({ maxWithoutGc }) => maxWithoutGc)
    ),
    atMost: 50
  },
  {
    name: `${size} runs, nothing stops: CPU of one core`,
    unit: "%",
    value: median(idle.map(({ cpu }) => cpu)),
    atMost: 10
  }
]
