/**
 * What watching costs the database: statements a tick, by the number of runs.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import {
  countStatements,
  messagesOf,
  repoOn,
  runInProcess,
  startKnown,
  storesOn
} from "../agents.ts"
import { makeFlags, startPolled } from "../flags.ts"
import { type Bar, type Figure, type Part, roundsOfLong } from "../Part.ts"
import { median } from "../statistics.ts"

export const reads: Part = {
  name: "reads",
  about: "statements a tick, by the number of watched runs; interval 2 s, PostgreSQL",
  needsDatabase: true,
  run: (options) =>
    Effect.gen(function* () {
      const { databaseUrl = "", quick } = options
      const long = roundsOfLong(options, 1)
      yield* Effect.scoped(Layer.build(storesOn(databaseUrl, { notify: false })))
      yield* makeFlags(databaseUrl)
      const sizes = quick ? [1, 100, 1000] : [1, 100, 1000, 10_000]
      // Each has connections of its own, and counts its own statements. All have ended before those
      // that take more begin.
      const [most, few] = yield* Effect.all(
        [
          Effect.forEach(sizes, (size) => library(databaseUrl, size, quick ? 1 : 7), {
            concurrency: "unbounded"
          }),
          Effect.forEach(
            sizes.filter((size) => size <= 1000),
            (size) => handWritten(databaseUrl, size, roundsOfLong(options, 3)),
            { concurrency: "unbounded" }
          )
        ],
        { concurrency: 2 }
      ).pipe(Effect.scoped)
      const many = quick ? [] : [yield* handWritten(databaseUrl, 10_000, long)]
      // Last, because to start so many takes the process as a whole.
      const ours = quick ? most : [...most, yield* library(databaseUrl, 100_000, long)]
      const watched = [...sizes, 100_000]
      return {
        figures: [...ours, ...few, ...many],
        bars: ours.map(({ rounds }, index): Bar => ({
          name: `${watched[index]} runs: statements a tick`,
          unit: "count",
          value: Math.max(...rounds),
          atMost: Math.ceil((watched[index] ?? 0) / 1000)
        })),
        notes: [
          "Counted by the driver's spans. Beside the ticks a process renews its lease: one statement in 10 s, at any number of runs.",
          ...many.map(({ rounds }) => beyond(median(rounds)))
        ]
      }
    }).pipe(runInProcess)
}

const beyond = (at10000: number): string =>
  `By hand, 10,000 pollers want 10,000 statements in 2 s; ${Math.round(at10000)} were answered. 100,000 would want 50,000 a second, and were not tried.`

const library = Effect.fnUntraced(function* (url: string, size: number, wanted: number) {
  const group = `reads${size}`
  const { ofTicks, tracer } = countStatements()
  const context = yield* Effect.withTracer(
    Layer.build(repoOn(url, { notify: false, maxConnections: 2 })),
    tracer
  )
  yield* Effect.provide(startKnown(group, messagesOf(group, size)), context)
  // A tick that was under way looked at fewer.
  const before = ofTicks().length + 1
  yield* Effect.repeat(Effect.sync(ofTicks), {
    schedule: Schedule.spaced("50 millis"),
    until: (ticks: ReadonlyArray<number>) => ticks.length >= before + wanted
  })
  return figureOf(`${size} runs: effect-cancellation`, ofTicks().slice(before, before + wanted))
})

const handWritten = Effect.fnUntraced(function* (url: string, size: number, intervals: number) {
  let statements = 0
  yield* startPolled(url, messagesOf(`byHand${size}`, size), { onLook: () => void statements++ })
  const rounds: Array<number> = []
  for (let round = 0; round < intervals; round++) {
    const before = statements
    yield* Effect.sleep("2 seconds")
    rounds.push(statements - before)
  }
  return figureOf(`${size} runs: by hand`, rounds)
}, Effect.scoped)

const figureOf = (name: string, rounds: ReadonlyArray<number>): Figure => ({
  name,
  unit: "count",
  rounds
})
