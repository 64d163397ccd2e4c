/**
 * What a burst of starts costs the database.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
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
import { watchByHand } from "../handWritten.ts"
import { type Part, roundsOfLong } from "../Part.ts"

export const start: Part = {
  name: "start",
  about: "10,000 runs started at once, PostgreSQL: statements until all have been looked at",
  needsDatabase: true,
  run: (options) =>
    Effect.gen(function* () {
      const { databaseUrl = "", quick } = options
      yield* Effect.scoped(Layer.build(storesOn(databaseUrl)))
      const size = quick ? 1000 : 10_000
      const rounds = yield* Effect.forEach(
        Array.from({ length: roundsOfLong(options, 3) }, (_, round) => `start${round}`),
        (group) => startAll(databaseUrl, group, size)
      )
      const byHand = quick ? [] : [yield* startAllByHand(databaseUrl, size)]
      const of = (name: keyof (typeof rounds)[number]) => rounds.map((round) => round[name])
      return {
        figures: [
          { name: "looks", unit: "count" as const, rounds: of("looks") },
          { name: "transactions that start runs", unit: "count" as const, rounds: of("starts") },
          { name: "statements, all told", unit: "count" as const, rounds: of("statements") },
          { name: "until the store knows all", unit: "ms" as const, rounds: of("millis") },
          ...byHand.flatMap((one) => [
            { name: "by hand: statements", unit: "count" as const, rounds: [one.statements] },
            { name: "by hand: until all were asked for", unit: "ms" as const, rounds: [one.millis] }
          ])
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
          "By hand each run asks for itself, and writes no row: that is not counted."
        ]
      }
    }).pipe(runInProcess)
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

const startAllByHand = Effect.fnUntraced(function* (url: string, size: number) {
  const context = yield* Layer.build(storesOn(url, { notify: false }))
  const sql = yield* Effect.provide(SqlClient.SqlClient, context)
  let statements = 0
  const asked = yield* Latch.make(false)
  const began = now()
  yield* Effect.forEach(
    messagesOf("byHand", size),
    ({ messageId }) =>
      watchByHand({
        isStopped: Effect.map(
          sql`SELECT user_aborted_at FROM agent_runs WHERE run_key = ${messageId}`,
          () => {
            statements++
            if (statements === size) asked.openUnsafe()
            return false
          }
        ),
        pollInterval: "1 hour",
        pollTimeout: "1 minute"
      }),
    { discard: true }
  )
  yield* asked.await
  return { statements, millis: now() - began }
}, Effect.scoped)
