/**
 * Very many stops within a second.
 */
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { CancellationWatcher, type MessageRef } from "effect-cancellation"
import {
  forkAll,
  messagesOf,
  noteInterrupts,
  now,
  repoOn,
  runInProcess,
  untilRunning,
  workOf
} from "../agents.ts"
import { makeFlags, startListened, startPolled } from "../flags.ts"
import { type Bar, type Figure, type Part, roundsOfLong } from "../Part.ts"
import { type Request, startRequester, stopOf, stopsByChat } from "../requester.ts"
import { percentile } from "../statistics.ts"

// Of the process that takes the stops: each has one request under way.
const connections = 10

export const burst: Part = {
  name: "burst",
  about: "10,000 runs stopped by another process as fast as it can, PostgreSQL with push",
  needsDatabase: true,
  run: (options) =>
    Effect.gen(function* () {
      const { databaseUrl: url = "", quick } = options
      yield* prepare(url)
      yield* makeFlags(url)
      const order = yield* startRequester(url)
      const rounds: Record<Way, Array<Round>> = { chat: [], message: [] }
      const floor: Record<Way, Array<Times>> = { chat: [], message: [] }
      const hand: Record<Way, Array<Times>> = { chat: [], message: [] }
      const size = quick ? 1000 : 10_000
      // Ten thousand commits take a while, and are ten thousand figures; a poller takes its interval.
      const times = { chat: roundsOfLong(options, 2), message: roundsOfLong(options, 1) }
      const timesBare = { ...times, message: roundsOfLong(options, 0) }
      const timesByHand = { chat: quick ? 0 : roundsOfLong(options, 1), message: 0 }
      for (const way of ways) {
        for (let round = 0; round < times[way]; round++) {
          const one = { url, order, way, group: `${way}${round}`, size }
          rounds[way].push(yield* watched(one))
          if (round < timesBare[way]) floor[way].push(yield* bare(one))
          if (round < timesByHand[way]) hand[way].push(yield* byHand(one))
        }
      }
      return {
        figures: ways.flatMap((way) => [
          ...figuresOf(labels[way], rounds[way]),
          ...figuresOf(`${labels[way]}, bare`, floor[way], withoutOutcome),
          ...figuresOf(`${labels[way]}, by hand`, hand[way], withoutOutcome)
        ]),
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
          "Lost or doubled counts runs without exactly one event, one interrupt and one outcome, and rows written after their outcome.",
          "Bare are fibers that wait, and a listener that interrupts the one it hears of: nothing is asked, published or written. By hand is a poller each, 2 s, without push, stopped by chat only."
        ]
      }
    }).pipe(runInProcess)
}

const ways = ["chat", "message"] as const
type Way = (typeof ways)[number]
const labels = { chat: "by chat", message: "by message" }

interface Times {
  readonly requesting: number
  readonly afterLast: number
  readonly p99: number
  readonly allOver: number
}

interface Round extends Times {
  readonly wrong: number
}

const figures: ReadonlyArray<{ readonly name: string; readonly of: keyof Times }> = [
  { name: "from the first request to the last answer", of: "requesting" },
  { name: "from the last request to the last interrupt", of: "afterLast" },
  { name: "from a run's request to its interrupt, p99", of: "p99" },
  { name: "from the last answer to the last outcome", of: "allOver" }
]

const withoutOutcome = figures.filter(({ of }) => of !== "allOver")

const figuresOf = (
  label: string,
  rounds: ReadonlyArray<Times>,
  all = figures
): ReadonlyArray<Figure> =>
  rounds.length === 0
    ? []
    : all.map(({ name, of }) => ({
        name: `${label}: ${name}`,
        unit: "ms",
        rounds: rounds.map((round) => round[of])
      }))

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

interface Burst {
  readonly url: string
  readonly order: Effect.Success<ReturnType<typeof startRequester>>
  readonly way: Way
  readonly group: string
  readonly size: number
}

const watched = Effect.fnUntraced(function* (burst: Burst) {
  const { group, size, url } = burst
  const context = yield* Layer.build(repoOn(url))
  const sql = yield* Effect.provide(PgClient.PgClient, context)
  const refs = messagesOf(group, size)
  const interrupts = new Map<string, number>()
  let doubled = 0
  const events = new Map<string, number>()
  const onInterrupt = ({ messageId }: MessageRef) => {
    if (interrupts.has(messageId)) doubled++
    else interrupts.set(messageId, now())
  }
  const onEvent = ({ messageId }: MessageRef) => {
    events.set(messageId, (events.get(messageId) ?? 0) + 1)
  }
  const agents = yield* forkAll(refs.map((ref) => inRun(ref, onInterrupt, onEvent))).pipe(
    Effect.provide(context)
  )
  yield* Effect.provide(
    untilRunning(group, (running) => running === size),
    context
  )
  const times = yield* stopAll(burst, ofRuns, refs, agents, interrupts)

  const rows = yield* sql<{ readonly message_id: string }>`SELECT message_id FROM agent_runs
    WHERE chat_id LIKE ${`${group}-%`} AND outcome = 'stopped' AND observed_at IS NOT NULL`
  const [rewritten] = yield* sql<{ readonly count: number }>`
    SELECT CAST(count(*) AS integer) AS count FROM rewritten`
  const stopped = new Set(rows.map((row) => row.message_id))
  const wrong = refs.filter(
    ({ messageId }) =>
      !interrupts.has(messageId) || events.get(messageId) !== 1 || !stopped.has(messageId)
  )
  return {
    ...times,
    wrong: wrong.length + doubled + (rewritten?.count ?? 0) + Math.abs(rows.length - size)
  } satisfies Round
}, Effect.scoped)

const inRun = (
  ref: MessageRef,
  onInterrupt: (ref: MessageRef) => void,
  onEvent: (ref: MessageRef) => void
) =>
  Effect.gen(function* () {
    yield* CancellationWatcher.onCancellation(() => Effect.sync(() => onEvent(ref)))
    yield* CancellationWatcher.runWithCancellation(workOf(ref, onInterrupt), {
      cancelResult: undefined
    })
  }).pipe(Effect.scoped, Effect.provide(CancellationWatcher.layer({ ref }), { local: true }))

const bare = Effect.fnUntraced(function* (burst: Burst) {
  const refs = messagesOf(`bare-${burst.group}`, burst.size)
  const { moments, onInterrupt } = noteInterrupts()
  const agents = yield* startListened(burst.url, refs, onInterrupt)
  return yield* stopAll(burst, ofFlags, refs, agents, moments)
}, Effect.scoped)

const byHand = Effect.fnUntraced(function* (burst: Burst) {
  const refs = messagesOf(`hand-${burst.group}`, burst.size)
  const { moments, onInterrupt } = noteInterrupts()
  const agents = yield* startPolled(burst.url, refs, { onInterrupt })
  return yield* stopAll(burst, ofFlags, refs, agents, moments)
}, Effect.scoped)

/** Asks for the stops of all, waits until all have ended, and says how long that took. */
const stopAll = Effect.fnUntraced(function* (
  { order, way }: Burst,
  kinds: Readonly<Record<Way, Request["kind"]>>,
  refs: ReadonlyArray<MessageRef>,
  agents: ReadonlyArray<Fiber.Fiber<unknown, unknown>>,
  // When each was interrupted, by message.
  interrupts: ReadonlyMap<string, number>
) {
  const requests =
    way === "message"
      ? refs.map((ref) => stopOf(ref, 0, kinds.message))
      : stopsByChat(refs, kinds.chat)
  const { began, ended } = yield* order(requests, connections)
  yield* Fiber.awaitAll(agents)
  const over = now()
  const lastAnswer = Math.max(...ended)
  const perRequest = refs.length / requests.length
  const took = refs.map(
    ({ messageId }, index) =>
      (interrupts.get(messageId) ?? Number.POSITIVE_INFINITY) -
      (began[Math.floor(index / perRequest)] ?? Number.NaN)
  )
  return {
    requesting: lastAnswer - Math.min(...began),
    afterLast: Math.max(...interrupts.values()) - Math.max(...began),
    p99: percentile(took, 0.99),
    allOver: over - lastAnswer
  } satisfies Times
})

const ofRuns = { chat: "chat", message: "message" } as const
const ofFlags = { chat: "flags of a chat", message: "flag at once" } as const
