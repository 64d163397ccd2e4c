/**
 * Very many stops within a second.
 */
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { CancellationWatcher, type MessageRef } from "effect-cancellation"
import { forkAll, messagesOf, now, repoOn, runInProcess, untilRunning } from "../agents.ts"
import { type Bar, type Part, roundsOfLong } from "../Part.ts"
import { type Request, startRequester, stopOf } from "../requester.ts"
import { percentile } from "../statistics.ts"

// Of the process that takes the stops: each has one request under way.
const connections = 10

export const burst: Part = {
  name: "burst",
  about: "10,000 runs stopped by another process as fast as it can, PostgreSQL with push",
  needsDatabase: true,
  run: (options) =>
    Effect.gen(function* () {
      const { databaseUrl = "", quick } = options
      yield* prepare(databaseUrl)
      const order = yield* startRequester(databaseUrl)
      const rounds: Record<Way, Array<Round>> = { chat: [], message: [] }
      const size = quick ? 1000 : 10_000
      // Ten thousand commits take a while, and are ten thousand figures.
      const times = { chat: roundsOfLong(options, 3), message: roundsOfLong(options, 1) }
      for (const way of ways) {
        for (let round = 0; round < times[way]; round++) {
          rounds[way].push(yield* once(databaseUrl, order, way, `${way}${round}`, size))
        }
      }
      return {
        figures: ways.flatMap((way) =>
          figures.map(({ name, of, unit }) => ({
            name: `${labels[way]}: ${name}`,
            unit,
            rounds: rounds[way].map((round) => round[of])
          }))
        ),
        bars: [
          {
            name: "by chat: from the last request to the last interrupt",
            unit: "ms" as const,
            value: Math.max(...rounds.chat.map(({ afterLast }) => afterLast)),
            atMost: 1000
          },
          ...ways.map((way): Bar => ({
            name: `${labels[way]}: lost or doubled`,
            unit: "count",
            value: Math.max(...rounds[way].map(({ wrong }) => wrong)),
            atMost: 0
          }))
        ],
        notes: [
          ...(quick ? ["Quick: 1,000 runs, not 10,000."] : []),
          "A request by message is one commit with NOTIFY, which PostgreSQL makes one after the other, so that 10,000 take longer than a second, and the agents keep up; a request by chat stops 100 runs in one.",
          "Lost or doubled counts runs without exactly one event, one interrupt and one outcome, and rows written after their outcome."
        ]
      }
    }).pipe(runInProcess)
}

const ways = ["chat", "message"] as const
type Way = (typeof ways)[number]
const labels = { chat: "by chat", message: "by message" }

interface Round {
  readonly requesting: number
  readonly afterLast: number
  readonly p99: number
  readonly allOver: number
  readonly wrong: number
}

const figures: ReadonlyArray<{
  readonly name: string
  readonly of: keyof Round
  readonly unit: "ms" | "count"
}> = [
  { name: "from the first request to the last answer", of: "requesting", unit: "ms" },
  { name: "from the last request to the last interrupt", of: "afterLast", unit: "ms" },
  { name: "from a run's request to its interrupt, p99", of: "p99", unit: "ms" },
  { name: "from the last answer to the last outcome", of: "allOver", unit: "ms" }
]

// Whatever is written to a row that has its outcome is noted.
const prepare = Effect.fnUntraced(function* (url: string) {
  const context = yield* Layer.build(repoOn(url, { listen: false }))
  const sql = yield* Effect.provide(PgClient.PgClient, context)
  yield* sql`CREATE TABLE rewritten (run_key text)`
  yield* sql`CREATE FUNCTION note_rewritten() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO rewritten VALUES (OLD.run_key); RETURN NULL; END'`
  yield* sql`CREATE TRIGGER note_rewritten AFTER UPDATE OF outcome, ended_at, user_aborted_at
    ON agent_runs FOR EACH ROW WHEN (OLD.outcome IS NOT NULL) EXECUTE FUNCTION note_rewritten()`
}, Effect.scoped)

const once = Effect.fnUntraced(function* (
  url: string,
  order: Effect.Success<ReturnType<typeof startRequester>>,
  way: Way,
  group: string,
  size: number
) {
  const context = yield* Layer.build(repoOn(url))
  const sql = yield* Effect.provide(PgClient.PgClient, context)
  const refs = messagesOf(group, size)
  const interrupts = new Map<string, Array<number>>()
  const events = new Map<string, number>()
  const agents = yield* forkAll(
    refs.map((ref) => {
      const { messageId } = ref
      return watched(
        ref,
        () => {
          interrupts.set(messageId, [...(interrupts.get(messageId) ?? []), now()])
        },
        () => {
          events.set(messageId, (events.get(messageId) ?? 0) + 1)
        }
      )
    })
  ).pipe(Effect.provide(context))
  yield* Effect.provide(
    untilRunning(group, (running) => running === size),
    context
  )

  const requests =
    way === "message"
      ? refs.map((ref) => stopOf(ref))
      : [...new Set(refs.map(({ chatId }) => chatId))].map((chatId): Request => ({
          kind: "chat",
          chatId,
          id: "",
          after: 0
        }))
  const { began, ended } = yield* order(requests, connections)
  yield* Effect.forEach(agents, Fiber.await, { discard: true })
  const over = now()

  const perRequest = size / requests.length
  const lastRequest = Math.max(...began)
  const lastAnswer = Math.max(...ended)
  const took = refs.map(
    ({ messageId }, index) =>
      (interrupts.get(messageId)?.[0] ?? Number.POSITIVE_INFINITY) -
      (began[Math.floor(index / perRequest)] ?? Number.NaN)
  )
  const rows = yield* sql<{ readonly message_id: string }>`SELECT message_id FROM agent_runs
    WHERE chat_id LIKE ${`${group}-%`} AND outcome = 'stopped' AND observed_at IS NOT NULL`
  const [rewritten] = yield* sql<{ readonly count: number }>`
    SELECT CAST(count(*) AS integer) AS count FROM rewritten`
  const stopped = new Set(rows.map((row) => row.message_id))
  const wrong = refs.filter(
    ({ messageId }) =>
      interrupts.get(messageId)?.length !== 1 ||
      events.get(messageId) !== 1 ||
      !stopped.has(messageId)
  )
  return {
    requesting: lastAnswer - Math.min(...began),
    afterLast:
      Math.max(...Array.from(interrupts.values(), ([first = Number.NaN]) => first)) - lastRequest,
    p99: percentile(took, 0.99),
    allOver: over - lastAnswer,
    wrong: wrong.length + (rewritten?.count ?? 0) + Math.abs(rows.length - size)
  } satisfies Round
}, Effect.scoped)

const watched = (ref: MessageRef, onInterrupt: () => void, onEvent: () => void) =>
  Effect.gen(function* () {
    yield* CancellationWatcher.onCancellation(() => Effect.sync(onEvent))
    yield* CancellationWatcher.runWithCancellation(
      Effect.onInterrupt(Effect.never, () => Effect.sync(onInterrupt)),
      { cancelResult: undefined }
    )
  }).pipe(Effect.scoped, Effect.provide(CancellationWatcher.layer({ ref }), { local: true }))
