// Two operations of which one waits for the other: what it sees then, and what it has locked.
import { PgClient, PgConnection } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { MessageStore, StopIntent, StopTarget } from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import { runOf } from "./concurrency.fixture.ts"
import { spiedAfter } from "./spied.fixture.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

const user = StopIntent.make({ reason: "user" })
const one = runOf("chat", "one", "run")
const two = runOf("chat", "two", "run")
const stop = StopTarget.cases.Run.make({ run: one })

const storeOn = <E, R>(client: Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, E, R>) =>
  Layer.merge(Migrations.layer, SqlMessageStore.layer()).pipe(Layer.provideMerge(client))
const store = storeOn(Postgres.layer({ maxConnections: 4 }))

/** Waits until it is done, or waits for a lock of somebody's. */
const stands = Effect.fnUntraced(function* <A, E>(fiber: Fiber.Fiber<A, E>) {
  const sql = yield* SqlClient.SqlClient
  const waiting = sql`SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'`
  yield* until(
    Effect.map(waiting, (rows) => rows.length > 0 || fiber.pollUnsafe() !== undefined),
    (isSo) => isSo
  )
})

/** Does it in a transaction that goes on until it is let go. */
const holding = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const sql = yield* SqlClient.SqlClient
  const done = yield* Latch.make(false)
  const gate = yield* Latch.make(false)
  const fiber = yield* Effect.forkScoped(
    sql.withTransaction(Effect.tap(effect, Effect.andThen(done.open, gate.await)))
  )
  return { fiber, done, end: Effect.andThen(gate.open, Fiber.join(fiber)) }
})

it.live("a step of two runs, one of which is just starting, is of one moment", () =>
  Effect.gen(function* () {
    const { advanceRuns, findRuns, requestStop, startRuns } = yield* MessageStore
    yield* startRuns([one])
    yield* requestStop(stop, user)
    const start = yield* holding(startRuns([two]))
    yield* start.done.await
    const step = yield* holding(
      advanceRuns([one, two].map((run) => ({ run, to: "observed" as const })))
    )
    const begun = yield* Effect.forkScoped(step.done.await)
    yield* stands(begun)
    yield* start.end
    // the step is not committed, so it comes after this and must have seen all of it
    const before = yield* findRuns({ _tag: "Refs", refs: [one.ref, two.ref] })
    assert.deepStrictEqual(
      before.map(({ observedAt }) => observedAt),
      [undefined, undefined]
    )
    assert.lengthOf(yield* step.end, 2)
  }).pipe(Effect.scoped, Effect.provide(store))
)

it.live("what starts while an empty chat is erased is erased whole, or not at all", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { startRuns } = yield* MessageStore
    const looked = yield* Latch.make(false)
    const gate = yield* Latch.make(false)
    const spied = spiedAfter(sql, /UNION SELECT user_id/, Effect.andThen(looked.open, gate.await))
    const context = yield* Layer.build(
      Layer.fresh(SqlMessageStore.layer()).pipe(
        Layer.provide(Layer.succeed(SqlClient.SqlClient, spied))
      )
    )
    const { forget } = Context.get(context, MessageStore)
    const erasing = yield* Effect.forkScoped(forget({ _tag: "Chat", chatId: one.ref.chatId }))
    // it has found no chat, and now there is one: with a run, and a second one on its way
    yield* looked.await
    yield* startRuns([one])
    const start = yield* holding(startRuns([one, two]))
    yield* start.done.await
    yield* gate.open
    yield* stands(erasing)
    yield* start.end
    yield* Fiber.join(erasing)
    const left = yield* sql`SELECT message_id FROM agent_runs ORDER BY message_id`
    assert.notDeepEqual(left, [{ message_id: "two" }])
  }).pipe(Effect.scoped, Effect.provide(store))
)

it.live(
  "where transactions are REPEATABLE READ by default, a stop sees the start that it waited for",
  () =>
    Effect.gen(function* () {
      const { name, url } = yield* Postgres.database
      const connection = yield* PgConnection.make({ url })
      yield* connection.query(
        `ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`
      )
      yield* Effect.gen(function* () {
        const { requestStop, startRuns } = yield* MessageStore
        const start = yield* Effect.provideService(
          holding(startRuns([one])),
          SqlClient.BeginTransaction,
          "BEGIN ISOLATION LEVEL READ COMMITTED"
        )
        yield* start.done.await
        const asking = yield* Effect.forkScoped(requestStop(stop, user))
        yield* stands(asking)
        yield* start.end
        const [receipt] = yield* Fiber.join(asking)
        assert.strictEqual(receipt?._tag, "Requested")
      }).pipe(Effect.scoped, Effect.provide(storeOn(PgClient.layer({ url, maxConnections: 4 }))))
    }).pipe(Effect.scoped)
)

it.live("a start locks the runs that it supersedes in the order in which everybody does", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { requestStop, startRuns } = yield* MessageStore
    yield* startRuns([one])
    yield* startRuns([two])
    // which also puts it behind the other one in the table
    yield* requestStop(stop, user)
    const first = yield* holding(sql`SELECT 1 FROM agent_runs WHERE message_id = 'one' FOR UPDATE`)
    yield* first.done.await
    const again = [two, one].map(({ ref }) => runOf("chat", ref.messageId, "again"))
    const start = yield* Effect.forkScoped(startRuns(again))
    yield* stands(start)
    // had it the second one, who holds the first and comes to the second would never get on
    const free = yield* sql`SELECT message_id FROM agent_runs FOR UPDATE SKIP LOCKED`
    assert.deepStrictEqual(free, [{ message_id: "two" }])
    yield* first.end
    assert.lengthOf(yield* Fiber.join(start), 2)
  }).pipe(Effect.scoped, Effect.provide(store))
)
