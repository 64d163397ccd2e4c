/**
 * What the lease costs in the write-ahead log, beside a heartbeat on each run.
 *
 *   DATABASE_URL=postgres://... node packages/sql/scripts/wal.ts
 */
import { PgClient } from "@effect/sql-pg"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MessageRef, MessageStore, ProcessId, Run, RunId } from "effect-cancellation"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import { newDatabase } from "./newDatabase.ts"

const beats = 20
const lease = { owner: ProcessId.make("process"), ttl: Duration.seconds(30) }

const program = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const store = yield* MessageStore
  const position = Effect.map(
    sql<{ bytes: number }>`
      SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS double precision) AS bytes`,
    ([row]) => row?.bytes ?? Number.NaN
  )
  // The smallest of many beats: others write on the same server, and after a checkpoint the first
  // change of a page logs the whole page.
  const costOf = <A, E, R>(beat: Effect.Effect<A, E, R>) =>
    Effect.map(
      Effect.replicateEffect(
        Effect.gen(function* () {
          const before = yield* position
          yield* beat
          return (yield* position) - before
        }),
        beats
      ),
      (costs) => Math.min(...costs)
    )
  yield* Console.log("bytes of write-ahead log an interval")
  yield* Console.log("runs      one lease      a heartbeat on each run")
  for (const count of [1, 100, 1000, 10_000]) {
    for (let from = 0; from < count; from += 1000) {
      const runs = Array.from({ length: Math.min(1000, count - from) }, (_, index) =>
        Run.make({
          ref: MessageRef.of({ chatId: `${count}`, messageId: `${from + index}` }),
          runId: RunId.make("run")
        })
      )
      yield* store.startRuns(runs, lease)
    }
    const leased = yield* costOf(store.renewLease(lease))
    const beaten = yield* costOf(sql`UPDATE agent_runs SET heartbeat_at = now()
      WHERE chat_id = ${String(count)} AND outcome IS NULL`)
    yield* Console.log(
      `${String(count).padEnd(10)}${String(leased).padEnd(15)}${String(beaten)}  (${Math.round(beaten / leased)} times)`
    )
  }
})

const measured = Layer.unwrap(
  Effect.map(newDatabase, (url) =>
    SqlMessageStore.layer().pipe(
      Layer.provideMerge(
        Layer.effectDiscard(
          Effect.andThen(
            Migrations.run,
            Effect.flatMap(
              PgClient.PgClient,
              (sql) => sql`ALTER TABLE agent_runs ADD COLUMN heartbeat_at timestamptz`
            )
          )
        )
      ),
      Layer.provideMerge(PgClient.layer({ url }))
    )
  )
)

await Effect.runPromise(Effect.provide(program, measured))
