/**
 * How long a stop takes from the request in one process to the interrupt in another, beside the bare
 * driver on the same server, and how many statements a tick of 10,000 watched runs costs.
 *
 *   DATABASE_URL=postgres://... node packages/sql/scripts/speed.ts [rounds]
 *
 * It makes a database of its own on that server and drops it.
 */
import { fork } from "node:child_process"
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import {
  CancellationMetrics,
  CancellationWatcher,
  MessageRef,
  MessageRepo
} from "effect-cancellation"
import type { SqlError } from "effect/sql"
import { Migrations } from "../src/index.ts"
import * as Postgres from "../src/Postgres.ts"
import { newDatabase } from "./newDatabase.ts"

const refOf = (index: number) => MessageRef.of({ chatId: "speed", messageId: `m${index}` })

/** Milliseconds of a clock that all processes of this machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6

const repoOn = (url: Redacted.Redacted, listen: boolean) =>
  MessageRepo.layer().pipe(
    Layer.provideMerge(Migrations.layer.pipe(Layer.provideMerge(Postgres.layer({ url, listen }))))
  )

// ---------------------------------------------------------------------------------------------
// the process that takes stops
// ---------------------------------------------------------------------------------------------

interface Order {
  readonly kind: "two statements" | "one statement" | "stop"
  readonly index: number
}

const requester = Effect.gen(function* () {
  const repo = yield* MessageRepo
  const sql = yield* PgClient.PgClient
  const orders = yield* Queue.unbounded<Order>()
  process.on("message", (order: Order) => Queue.offerUnsafe(orders, order))
  process.on("disconnect", () => process.exit())
  process.send?.({ ready: true })
  while (true) {
    const { index, kind } = yield* Queue.take(orders)
    const begun = now()
    switch (kind) {
      case "stop":
        yield* repo.requestStop(refOf(index))
        break
      case "two statements":
        // As one would write it: the notification is sent if, and only if, the change is committed.
        yield* sql.withTransaction(
          Effect.andThen(
            sql`UPDATE bare SET user_aborted_at = now() WHERE id = ${index}`,
            sql`SELECT pg_notify('bare', ${String(index)})`
          )
        )
        break
      case "one statement":
        // The least that any push through PostgreSQL has to pay.
        yield* sql`WITH stopped AS (
            UPDATE bare SET user_aborted_at = now() WHERE id = ${index} RETURNING id
          ) SELECT pg_notify('bare', CAST(id AS text)) FROM stopped`
    }
    process.send?.({ begun })
  }
})

/** Starts it; answers when what it was told to do began, once it is done. */
const startRequester = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const answers = yield* Queue.unbounded<{ readonly begun: number }>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => fork(import.meta.filename, ["requester", Redacted.value(url)])),
    (one) => Effect.sync(() => one.kill("SIGKILL"))
  )
  child.on("message", (answer: { readonly begun: number }) => Queue.offerUnsafe(answers, answer))
  yield* Queue.take(answers)
  return (order: Order) =>
    Effect.andThen(
      Effect.sync(() => child.send(order)),
      Effect.map(Queue.take(answers), ({ begun }) => begun)
    )
})

// ---------------------------------------------------------------------------------------------
// the process that runs agents
// ---------------------------------------------------------------------------------------------

/** Runs whose work never ends; each answers when it was interrupted. */
const agents = Effect.fnUntraced(function* (count: number) {
  const interrupted = yield* Effect.replicateEffect(Deferred.make<number>(), count)
  yield* Effect.forEach(
    interrupted,
    (moment, index) =>
      Effect.never.pipe(
        Effect.onInterrupt(() => Effect.suspend(() => Deferred.succeed(moment, now()))),
        CancellationWatcher.runWithCancellation({ cancelResult: undefined }),
        Effect.provide(CancellationWatcher.layer({ ref: refOf(index) }), { local: true }),
        Effect.forkScoped
      ),
    { discard: true }
  )
  yield* waitFor((running) => running === count)
  return interrupted
})

const running: Effect.Effect<number, SqlError.SqlError, PgClient.PgClient> = Effect.flatMap(
  PgClient.PgClient,
  (sql) =>
    Effect.map(
      sql<{ running: number }>`
        SELECT CAST(count(*) AS integer) AS running FROM agent_runs WHERE outcome IS NULL`,
      ([row]) => row?.running ?? 0
    )
)

const waitFor = (condition: (running: number) => boolean) =>
  Effect.repeat(running, { schedule: Schedule.spaced("5 millis"), until: condition })

const latency = Effect.fnUntraced(function* (rounds: number) {
  const warmUp = Math.ceil(rounds / 5)
  const total = rounds + warmUp
  const url = yield* newDatabase
  const here = yield* Layer.build(repoOn(url, true))
  const sql = yield* Effect.provide(PgClient.PgClient, here)
  yield* sql`CREATE TABLE bare (id integer PRIMARY KEY, user_aborted_at timestamptz)`
  yield* sql`INSERT INTO bare SELECT generate_series(0, 100000)`
  const listener = yield* PgConnection.make({ url })
  const heard = yield* listener.listen("bare")
  const order = yield* startRequester(url)
  const interrupted = yield* Effect.provide(agents(total), here)
  const measured: Record<(typeof names)[number], Array<number>> = {
    one: [],
    looked: [],
    two: [],
    stop: []
  }
  const hears = Effect.map(Queue.take(heard), now)
  const timed = <E, R>(kind: Order["kind"], index: number, end: Effect.Effect<number, E, R>) =>
    Effect.map(
      Effect.all([order({ kind, index }), end], { concurrency: 2 }),
      ([begun, ended]) => ended - begun
    )
  const looks = (index: number) =>
    Effect.map(sql`SELECT user_aborted_at FROM bare WHERE id = ${index}`, now)
  for (const [index, moment] of interrupted.entries()) {
    const kinds = {
      one: timed("one statement", index, hears),
      looked: timed("one statement", index, Effect.andThen(hears, looks(index))),
      two: timed("two statements", index, hears),
      stop: timed("stop", index, Deferred.await(moment))
    }
    const round = { one: 0, looked: 0, two: 0, stop: 0 }
    // Each in its turn comes first, and after the same silence: what follows at once finds all awake.
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(index + turn) % names.length] ?? "stop"
      yield* Effect.sleep("5 millis")
      round[name] = yield* kinds[name]
    }
    // The run's last write is over before the next round begins.
    yield* Effect.provide(
      waitFor((left) => left === total - index - 1),
      here
    )
    if (index < warmUp) continue
    for (const name of names) measured[name].push(round[name])
  }
  return {
    one: spread(measured.one),
    looked: spread(measured.looked),
    two: spread(measured.two),
    stop: spread(measured.stop)
  }
}, Effect.scoped)

const names = ["one", "looked", "two", "stop"] as const

const spread = (times: ReadonlyArray<number>) => {
  const sorted = times.toSorted((one, other) => one - other)
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** The statements of whole ticks, while nothing but the ticks goes on. */
const statementsOfTicks = Effect.fnUntraced(function* (watched: number, ticks: number) {
  const url = yield* newDatabase
  let statements = 0
  const counting = Tracer.make({
    span: (options) => {
      if (options.kind === "client") statements++
      return new Tracer.NativeSpan(options)
    }
  })
  const context = yield* Effect.withTracer(Layer.build(repoOn(url, true)), counting)
  yield* Effect.provide(agents(watched), context)
  const reads = Effect.map(Metric.value(CancellationMetrics.reads), ({ count }) => count)
  const before = { reads: yield* reads, statements }
  const chunks = Math.ceil(watched / 1000)
  yield* Effect.repeat(reads, {
    schedule: Schedule.spaced("10 millis"),
    until: (done: number) => done >= before.reads + ticks * chunks
  })
  return (statements - before.statements) / ticks
}, Effect.scoped)

const program = Effect.gen(function* () {
  const { looked, one, stop, two } = yield* latency(Number(process.argv[2] ?? 1000))
  const line = (name: string, times: ReturnType<typeof spread>) => {
    const shown = Object.entries(times).map(
      ([part, time]) => `${part} ${time.toFixed(2).padStart(6)} ms`
    )
    const ratio = `${(stop.p50 / times.p50).toFixed(2)} and ${(stop.p99 / times.p99).toFixed(2)}`
    return `${name.padEnd(44)} ${shown.join("  ")}${times === stop ? "" : `  a stop takes ${ratio} times as long`}`
  }
  yield* Console.log(line("requestStop to the interrupt", stop))
  yield* Console.log(line("UPDATE, then NOTIFY, in one transaction", two))
  yield* Console.log(line("both in one statement", one))
  yield* Console.log(line("the same, and one SELECT when it is heard", looked))
  const statements = yield* statementsOfTicks(10_000, 3)
  yield* Console.log(
    `statements a tick at 10,000 watched runs: ${statements.toFixed(1)} (at most 10)`
  )
})

const [role, requesterUrl] = process.argv.slice(2)
const main: Effect.Effect<void, unknown> =
  role === "requester" && requesterUrl !== undefined
    ? // It runs no agents, and need not hear of stops.
      Effect.provide(requester, repoOn(Redacted.make(requesterUrl), false))
    : program
await Effect.runPromise(Effect.provideService(main, References.MinimumLogLevel, "Warn"))
