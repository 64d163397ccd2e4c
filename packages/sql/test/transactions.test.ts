// What a transaction of the application's own may do to the store, and the store to it.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { MessageStore, StopIntent, StopTarget } from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import { dialectOf } from "../src/internal/dialect.ts"
import { makeTransactions } from "../src/internal/transactions.ts"
import { runOf } from "./concurrency.fixture.ts"
import * as Postgres from "./support/Postgres.ts"

const user = StopIntent.make({ reason: "user" })
const one = runOf("chat", "one", "run")
const stop = StopTarget.cases.Run.make({ run: one })
const store = Layer.merge(Migrations.layer, SqlMessageStore.layer()).pipe(
  Layer.provideMerge(Postgres.layer({ maxConnections: 3 }))
)

describe("in a transaction of the application's own", () => {
  for (const level of ["REPEATABLE READ", "SERIALIZABLE"]) {
    it.live(`that is ${level} a stop is refused, not lost`, () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { requestStop, startRuns, stopRequests } = yield* MessageStore
        const sees = yield* Latch.make(false)
        const started = yield* Latch.make(false)
        const asking = Effect.gen(function* () {
          // what it sees is what was there before this
          yield* sql`SELECT 1`
          yield* sees.open
          yield* started.await
          return yield* requestStop(stop, user)
        })
        const asked = yield* Effect.forkScoped(
          sql
            .withTransaction(asking)
            .pipe(
              Effect.provideService(SqlClient.BeginTransaction, `BEGIN ISOLATION LEVEL ${level}`)
            )
        )
        yield* sees.await
        yield* startRuns([one])
        yield* started.open
        const error = yield* Effect.flip(Fiber.join(asked))
        assert.match(error.message, /READ COMMITTED/)
        assert.deepStrictEqual((yield* stopRequests([one])).requests, [])
        assert.deepStrictEqual(yield* sql`SELECT * FROM agent_tombstones`, [])
      }).pipe(Effect.scoped, Effect.provide(store))
    )
  }

  it.live("a stop that fails undoes nothing but itself, and says why", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { requestStop, startRuns } = yield* MessageStore
      yield* sql`CREATE TABLE app (id text)`
      yield* startRuns([one])
      const locked = yield* Latch.make(false)
      const held = sql`SELECT 1 FROM agent_runs FOR UPDATE`.pipe(
        Effect.andThen(locked.open),
        Effect.andThen(Effect.never)
      )
      yield* Effect.forkScoped(sql.withTransaction(held))
      yield* locked.await
      const error = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`SET LOCAL lock_timeout = 100`
          yield* sql`INSERT INTO app VALUES ('kept')`
          return yield* Effect.flip(requestStop(stop, user))
        })
      )
      assert.match(error.message, /lock timeout/)
      assert.deepStrictEqual(yield* sql`SELECT id FROM app`, [{ id: "kept" }])
    }).pipe(Effect.scoped, Effect.provide(store))
  )
})

it.live("a transaction that the server rolls back instead is not told as done", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { transaction } = makeTransactions(sql, yield* dialectOf(sql))
    yield* sql`CREATE TABLE app (id text)`
    // after what has failed, COMMIT undoes everything, and the server calls that no error
    const failing = Effect.andThen(
      sql`INSERT INTO app VALUES ('lost')`,
      Effect.ignore(sql`SELECT 1 / 0`)
    )
    const error = yield* Effect.flip(transaction(failing))
    assert.match(error.message, /COMMIT was answered by ROLLBACK/)
    assert.deepStrictEqual(yield* sql`SELECT id FROM app`, [])
  }).pipe(Effect.provide(Postgres.layer()))
)
