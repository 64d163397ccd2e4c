// Rows that no version of this package has written: each is told, and none hides another.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MessageStore, StopIntent, StopTarget } from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import { runOf } from "./concurrency.fixture.ts"
import { newFile } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

const user = StopIntent.make({ reason: "user" })
const one = runOf("chat", "one", "run")
const two = runOf("chat", "two", "run")

for (const [name, client] of [
  ["PostgreSQL", Migrations.layer.pipe(Layer.provideMerge(Postgres.layer()))],
  ["SQLite", newFile]
] as const) {
  it.live(`a stop that reaches only such rows of ${name} is no empty answer`, () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { requestStop, startRuns } = yield* MessageStore
      yield* startRuns([one, two])
      yield* sql`UPDATE agent_runs SET owner = 'one" owner'`
      const chat = StopTarget.cases.Chat.make({ chatId: one.ref.chatId })
      const { reason } = yield* Effect.flip(requestStop(chat, user))
      assert.strictEqual(reason._tag, "MalformedRow")
    }).pipe(Effect.provide(SqlMessageStore.layer().pipe(Layer.provideMerge(client))))
  )
}

it.live("an integer of SQLite that no number can hold is a failure of its own run", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { requestStop, startRuns, stopRequests } = yield* MessageStore
    yield* startRuns([one, two])
    yield* requestStop(StopTarget.cases.Run.make({ run: one }), user)
    yield* sql`UPDATE agent_runs SET user_aborted_at = 9000000000000000000, stop_reason = 'user'
      WHERE message_id = 'two'`
    const { requests } = yield* stopRequests([one, two])
    assert.include(
      requests.map(({ run }) => run.ref.messageId),
      one.ref.messageId
    )
  }).pipe(Effect.provide(SqlMessageStore.layer().pipe(Layer.provideMerge(newFile))))
)
