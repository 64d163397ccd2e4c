// One row a process and one write an interval, whatever the number of its runs.
import { PgClient, PgConnection } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import {
  CancellationWatcher,
  MessageRef,
  MessageRepo,
  MessageStore,
  ProcessId
} from "effect-cancellation"
import { vi } from "vitest"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import { runOf } from "./concurrency.fixture.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

vi.setConfig({ testTimeout: 60_000 })

const countWrites = [
  "CREATE TABLE lease_writes (owner text NOT NULL)",
  `CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO lease_writes VALUES (NEW.owner); RETURN NULL; END $$`,
  `CREATE TRIGGER note_lease AFTER INSERT OR UPDATE ON agent_leases FOR EACH ROW
    EXECUTE FUNCTION note_lease()`
]

it.live("the lease of a process that is gone is removed by the next sweep, whoever sweeps", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const connection = yield* PgConnection.make({ url })
    const store = Context.get(
      yield* Layer.build(
        Layer.fresh(SqlMessageStore.layer()).pipe(
          Layer.provideMerge(Migrations.layer),
          Layer.provide(PgClient.layer({ url }))
        )
      ),
      MessageStore
    )
    const leaseOf = (name: string, ttl: Duration.Input) => ({
      owner: ProcessId.make(name),
      ttl: Duration.fromInputUnsafe(ttl)
    })
    const owners = Effect.map(
      connection.query("SELECT owner FROM agent_leases ORDER BY owner"),
      ({ rows }) => rows.map(({ owner }) => owner)
    )
    yield* store.renewLease(leaseOf("idle", "1 millis"))
    const run = runOf("chat", "message", "run")
    yield* store.startRuns([run], leaseOf("done", "1 millis"))
    yield* store.advanceRuns([{ run, to: "completed" }])
    yield* store.renewLease(leaseOf("alive", "1 hour"))
    assert.deepStrictEqual(yield* owners, ["alive", "done", "idle"])
    assert.deepStrictEqual(yield* store.sweepLost, [])
    assert.deepStrictEqual(yield* owners, ["alive"])
  })
)

it.live("the lease costs the same with 1 run and with 1,000, and nothing without", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const connection = yield* PgConnection.make({ url })
    const context = yield* Layer.build(
      Layer.fresh(SqlMessageStore.layer()).pipe(
        Layer.provideMerge(Migrations.layer),
        Layer.provideMerge(PgClient.layer({ url }))
      )
    )
    yield* Effect.forEach(countWrites, (statement) => connection.query(statement))

    // A third of the lease is the interval: 200 milliseconds.
    const repoOf = (name: string) =>
      Effect.map(
        Layer.build(
          Layer.fresh(
            MessageRepo.layer({ processId: ProcessId.make(name), leaseTtl: "600 millis" })
          ).pipe(Layer.provide(Layer.succeed(MessageStore, Context.get(context, MessageStore))))
        ),
        (built) => Context.get(built, MessageRepo)
      )
    const writes = Effect.map(
      connection.query(
        `SELECT split_part(owner, ':', 1) AS name, CAST(count(*) AS integer) AS count
          FROM lease_writes GROUP BY 1`
      ),
      ({ rows }) => new Map(rows.map(({ count, name }) => [String(name), Number(count)]))
    )
    const running = Effect.map(
      connection.query("SELECT CAST(count(*) AS integer) AS count FROM agent_runs"),
      ({ rows }) => Number(rows[0]?.["count"])
    )
    const watch = (repo: MessageRepo["Service"], name: string, count: number) =>
      Effect.forEach(
        Array.from({ length: count }, (_, index) => index),
        (index) =>
          Layer.build(
            CancellationWatcher.layer({
              ref: MessageRef.of({ chatId: name, messageId: `${index}` })
            }).pipe(Layer.provide(Layer.succeed(MessageRepo, repo)))
          ),
        { discard: true }
      )

    // The clock of this test: it holds its lease for no run at all.
    const idle = yield* repoOf("idle")
    yield* idle.sweepLost
    const runs = yield* Scope.make()
    yield* watch(yield* repoOf("one"), "one", 1).pipe(Scope.provide(runs))
    yield* watch(yield* repoOf("many"), "many", 1000).pipe(Scope.provide(runs))
    yield* until(running, (count) => count === 1001)

    const since = Effect.fnUntraced(function* (before: ReadonlyMap<string, number>) {
      const ticks = (counts: ReadonlyMap<string, number>, name: string) =>
        (counts.get(name) ?? 0) - (before.get(name) ?? 0)
      const after = yield* until(writes, (counts) => ticks(counts, "idle") >= 10)
      return { idle: ticks(after, "idle"), one: ticks(after, "one"), many: ticks(after, "many") }
    })
    const watched = yield* since(yield* writes)
    assert.approximately(watched.one, watched.idle, 2)
    assert.approximately(watched.many, watched.idle, 2)
    const leases = yield* connection.query("SELECT owner FROM agent_leases")
    assert.lengthOf(leases.rows, 3)

    yield* Scope.close(runs, Exit.void)
    const afterwards = yield* since(yield* writes)
    // A renewal may have been under way.
    assert.isAtMost(afterwards.one + afterwards.many, 1)
  })
)
