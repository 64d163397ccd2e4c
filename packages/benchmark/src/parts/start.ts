/**
 * What a burst of starts costs the database.
 */
import type { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type { MessageRef } from "effect-cancellation"
import {
  countStatements,
  messagesOf,
  now,
  repoOn,
  runInProcess,
  startAgents,
  storesOn,
  untilRunning
} from "../agents.ts"
import { addFlags, clientOn, insertFlags, isFlagSet, makeFlags } from "../flags.ts"
import { watchByHand } from "../handWritten.ts"
import { type Figure, type Part, roundsOfLong } from "../Part.ts"

export const start: Part = {
  name: "start",
  about: "10,000 runs started at once, PostgreSQL: statements until all have been looked at",
  needsDatabase: true,
  run: (options) =>
    Effect.gen(function* () {
      const { databaseUrl = "", quick } = options
      yield* Effect.scoped(Layer.build(storesOn(databaseUrl)))
      const size = quick ? 1000 : 10_000
      yield* makeFlags(databaseUrl)
      const rounds: Array<Effect.Success<ReturnType<typeof startAll>>> = []
      const bare: Array<Started> = []
      const byHand: Array<Started> = []
      const times = roundsOfLong(options, 2)
      const timesByHand = quick ? 0 : roundsOfLong(options, 1)
      for (let round = 0; round < times; round++) {
        rounds.push(yield* startAll(databaseUrl, `start${round}`, size))
        bare.push(yield* insertAll(databaseUrl, messagesOf(`bare${round}`, size)))
        if (round >= timesByHand) continue
        byHand.push(yield* startAllByHand(databaseUrl, messagesOf(`byHand${round}`, size)))
      }
      return {
        figures: [
          { name: "looks", unit: "count" as const, rounds: rounds.map(({ looks }) => looks) },
          {
            name: "transactions that start runs",
            unit: "count" as const,
            rounds: rounds.map(({ starts }) => starts)
          },
          ...figuresOf("", "until the store knows all", rounds),
          ...figuresOf("bare: ", "until all rows are there", bare),
          ...figuresOf("by hand: ", "until all were asked for", byHand)
        ],
        bars: [
          {
            name: "first looks: statements",
            unit: "count" as const,
            value: Math.max(...rounds.map(({ looks, starts }) => looks + starts)),
            atMost: 10 + Math.ceil(size / 1000)
          }
        ],
        notes: [
          ...(quick ? ["Quick: 1,000 runs, not 10,000."] : []),
          "The answer to a start is the first look: the last statement of the transaction that starts up to 1,000 runs. Its other statements lock, insert and renew the lease; BEGIN, SET and COMMIT have no span and are not counted.",
          "Bare is an INSERT of 1,000 rows, ten of them at once: no start can do with less. By hand each run asks for itself, and its row is there already."
        ]
      }
    }).pipe(runInProcess)
}

interface Started {
  readonly statements: number
  readonly millis: number
}

const startAll = Effect.fnUntraced(function* (url: string, group: string, size: number) {
  const { others, tracer } = countStatements()
  const context = yield* Effect.withTracer(Layer.build(repoOn(url, { notify: false })), tracer)
  const before = others.length
  const began = now()
  yield* startAgents(messagesOf(group, size)).pipe(
    Effect.andThen(untilRunning(group, (running) => running === size)),
    Effect.provide(context)
  )
  const millis = now() - began
  const statements = others.slice(before)
  return {
    millis,
    statements: statements.length,
    looks: statements.filter((text) => text.includes("SELECT -1, NULL")).length,
    starts: statements.filter((text) => text.includes("INSERT INTO agent_runs")).length
  }
}, Effect.scoped)

// As many connections as a pool has: to open them is no part of a start.
const warm = (sql: PgClient.PgClient) =>
  Effect.forEach(Array.from({ length: 10 }), () => sql`SELECT pg_sleep(0.05)`, {
    concurrency: "unbounded",
    discard: true
  })

const insertAll = Effect.fnUntraced(function* (url: string, refs: ReadonlyArray<MessageRef>) {
  const sql = yield* clientOn(url)
  const chunks = Array.from({ length: Math.ceil(refs.length / 1000) }, (_, index) =>
    refs.slice(index * 1000, (index + 1) * 1000)
  )
  yield* warm(sql)
  const began = now()
  yield* Effect.forEach(chunks, (some) => insertFlags(sql, some), {
    concurrency: "unbounded",
    discard: true
  })
  return { statements: chunks.length, millis: now() - began } satisfies Started
}, Effect.scoped)

const startAllByHand = Effect.fnUntraced(function* (url: string, refs: ReadonlyArray<MessageRef>) {
  yield* addFlags(url, refs)
  const sql = yield* clientOn(url)
  let statements = 0
  const asked = yield* Latch.make(false)
  yield* warm(sql)
  const began = now()
  yield* Effect.forEach(
    refs,
    (ref) =>
      watchByHand({
        isStopped: Effect.tap(isFlagSet(sql, ref), () =>
          Effect.sync(() => {
            if (++statements === refs.length) asked.openUnsafe()
          })
        ),
        pollInterval: "1 hour",
        pollTimeout: "1 minute"
      }),
    { discard: true }
  )
  yield* asked.await
  return { statements, millis: now() - began } satisfies Started
}, Effect.scoped)

const figuresOf = (
  label: string,
  until: string,
  rounds: ReadonlyArray<Started>
): ReadonlyArray<Figure> =>
  rounds.length === 0
    ? []
    : [
        {
          name: label === "" ? "statements, all told" : `${label}statements`,
          unit: "count",
          rounds: rounds.map(({ statements }) => statements)
        },
        { name: `${label}${until}`, unit: "ms", rounds: rounds.map(({ millis }) => millis) }
      ]
