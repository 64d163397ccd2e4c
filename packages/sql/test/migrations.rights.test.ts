// Roles that have what `rights.sql` gives them, and nothing else.
import { assert, describe, it } from "@effect/vitest"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import path from "node:path"
import { PgClient } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import {
  ForgetQuery,
  MessageChange,
  MessageContent,
  MessageQuery,
  MessageRepo,
  MessageStore,
  NewMessage,
  ProcessId,
  RunQuery,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import * as PostgresStores from "../src/Postgres.ts"
import { runOf } from "./concurrency.fixture.ts"
import { statementsOf, tablesOf } from "./migrations.fixture.ts"
import * as Postgres from "./support/Postgres.ts"
import { newRole } from "./support/roles.ts"

const file = path.join(import.meta.dirname, "..", "migrations", "postgresql", "rights.sql")

/** Two roles of their own, since roles belong to the whole server. */
const withRoles = Effect.gen(function* () {
  const password = randomBytes(12).toString("hex")
  const { url } = yield* Postgres.database
  const owner = Context.get(yield* Layer.build(PgClient.layer({ url })), PgClient.PgClient)
  yield* owner`REVOKE CREATE ON SCHEMA public FROM PUBLIC`
  const make = Effect.fnUntraced(function* (kind: string) {
    const name = yield* newRole(kind, `LOGIN PASSWORD '${password}'`).pipe(
      Effect.provideService(SqlClient.SqlClient, owner)
    )
    const own = new URL(Redacted.value(url))
    own.username = name
    own.password = password
    const theirs = Redacted.make(own.href)
    return { name, url: theirs, client: Layer.fresh(PgClient.layer({ url: theirs })) }
  })
  return {
    owner,
    agent: yield* make("agent"),
    stopper: yield* make("stopper"),
    eraser: yield* make("eraser")
  }
})

const granted = Effect.gen(function* () {
  const { agent, eraser, owner, stopper } = yield* withRoles
  yield* Effect.provideService(Migrations.run, SqlClient.SqlClient, owner)
  const text = readFileSync(file, "utf8")
    .replaceAll("agent_role", agent.name)
    .replaceAll("stop_role", stopper.name)
    .replaceAll("erasure_role", eraser.name)
  for (const statement of statementsOf(text)) yield* owner.unsafe(statement)
  return { owner, agent, stopper, eraser }
})

const run = runOf("chat", "message", "run")
const other = runOf("chat", "message", "other")
const intent = StopIntent.make({ reason: "user", note: "enough" })
const lease = { owner: ProcessId.make("process"), ttl: Duration.hours(1) }
const { ref } = run
const chat = { chatId: ref.chatId }

const targets = [
  StopTarget.cases.Run.make({ run: other }),
  StopTarget.cases.Message.make({ ref }),
  StopTarget.cases.Chat.make(chat),
  StopTarget.cases.Message.make({ ref: runOf("elsewhere", "message", "run").ref })
]

const stopping = (store: MessageStore["Service"]): Operations => ({
  "requestStop of a run": store.requestStop(StopTarget.cases.Run.make({ run }), intent),
  "requestStop twice": Effect.forEach([...targets, ...targets], (target) =>
    store.requestStop(target, intent)
  ),
  stopRequests: store.stopRequests([run]),
  "findRuns by refs": store.findRuns(RunQuery.cases.Refs.make({ refs: [ref] })),
  "findRuns by chat": store.findRuns(RunQuery.cases.Chat.make(chat))
})

const running = (
  store: MessageStore["Service"],
  content: MessageContent["Service"]
): Operations => ({
  startRuns: store.startRuns([run, other], lease),
  "startRuns again": store.startRuns([run, other], lease),
  advanceRuns: store.advanceRuns([{ run, to: "completed" }]),
  renewLease: store.renewLease(lease),
  sweepLost: store.sweepLost,
  "forget a chat": store.forget(ForgetQuery.cases.Chat.make(chat)),
  "forget what is old": store.forget(ForgetQuery.cases.EndedBefore.make({ time: 1 })),
  create: content.create(NewMessage.make({ ref, role: "assistant" })),
  modify: content.modify(MessageChange.make({ ref, text: "text" })),
  reopen: content.modify(MessageChange.make({ ref, reopen: true })),
  find: content.find(MessageQuery.make(ref))
})

type Operations = Readonly<Record<string, Effect.Effect<unknown, { readonly message: string }>>>

const storesOf = (client: Layer.Layer<SqlClient.SqlClient, unknown>) =>
  Effect.map(
    Layer.build(
      Layer.merge(SqlMessageStore.layer(), SqlMessageContent.layer).pipe(
        Layer.provide(client),
        Layer.orDie
      )
    ),
    (context) => ({
      store: Context.get(context, MessageStore),
      content: Context.get(context, MessageContent)
    })
  )

const all = Effect.fnUntraced(function* (operations: Operations) {
  for (const [name, operation] of Object.entries(operations)) {
    yield* operation.pipe(
      Effect.mapError(({ message }) => `${name}: ${message}`),
      Effect.orDie
    )
  }
})

describe("rights.sql", () => {
  it.live("is enough for a role that runs agents, and finds nothing to migrate", () =>
    Effect.gen(function* () {
      const { agent } = yield* granted
      const { content, store } = yield* storesOf(agent.client)
      yield* all(running(store, content))
      yield* all(stopping(store))
      assert.deepStrictEqual(yield* Effect.provide(Migrations.run, agent.client), [])
    })
  )

  it.live("is enough for a role that takes stops, and gives it nothing else", () =>
    Effect.gen(function* () {
      const { agent, owner, stopper } = yield* granted
      const mine = yield* storesOf(agent.client)
      const theirs = yield* storesOf(stopper.client)
      yield* mine.store.startRuns([run, other], lease)
      yield* all(stopping(theirs.store))
      const [stopped] = (yield* mine.store.stopRequests([other])).requests
      assert.strictEqual(stopped?.request.note, "enough")
      const rows = owner`SELECT run_id, outcome, owner, observed_at, current FROM agent_runs`
      const before = yield* rows
      for (const [name, operation] of Object.entries(running(theirs.store, theirs.content))) {
        const error = yield* Effect.flip(operation)
        assert.include(JSON.stringify(error, causes), "permission denied", name)
        assert.include(JSON.stringify(error, causes), "migrations/postgresql/rights.sql", name)
      }
      assert.deepStrictEqual(yield* rows, before)
      yield* Effect.provide(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          for (const statement of forbidden) yield* Effect.flip(sql.unsafe(statement))
        }),
        stopper.client
      )
    })
  )

  it.live("is enough for a role that erases, which can do nothing else", () =>
    Effect.gen(function* () {
      const { agent, eraser, owner } = yield* granted
      const mine = yield* storesOf(agent.client)
      const theirs = yield* storesOf(eraser.client)
      yield* all({ ...running(mine.store, mine.content), ...stopping(mine.store) })
      yield* mine.store.startRuns([run, other], lease)
      const denied = { ...running(theirs.store, theirs.content), ...stopping(theirs.store) }
      for (const name of ["startRuns", "advanceRuns", "sweepLost", "create", "modify"]) {
        const error = yield* Effect.flip(denied[name] ?? Effect.void)
        assert.include(JSON.stringify(error, causes), "rights.sql", name)
      }
      assert.strictEqual(yield* theirs.store.forget(ForgetQuery.cases.Chat.make(chat)), 2)
      yield* theirs.store.forget(ForgetQuery.cases.EndedBefore.make({ time: 1 }))
      assert.deepStrictEqual(yield* owner`SELECT 1 FROM agent_runs`, [])
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const statement of forbiddenToErase) {
          const { reason } = yield* Effect.flip(sql.unsafe(statement))
          assert.include(String(reason.cause), "permission denied", statement)
        }
        // The number of a row is always the next one, whoever gives it.
        const { reason } = yield* Effect.flip(sql`UPDATE agent_runs SET sequence = 1`)
        assert.include(String(reason.cause), "can only be updated to DEFAULT")
        yield* sql`SELECT message_id, created_at FROM agent_messages WHERE user_id = ${ref.userId}`
        yield* sql`DELETE FROM agent_messages WHERE chat_id = ${ref.chatId}`
      }).pipe(Effect.provide(eraser.client))
      assert.deepStrictEqual(yield* owner`SELECT 1 FROM agent_messages`, [])
    })
  )

  it.live("is enough to build everything, and to stop a run of another role", () =>
    Effect.gen(function* () {
      const { agent, eraser, stopper } = yield* granted
      for (const { client, url } of [agent, stopper, eraser]) {
        assert.deepStrictEqual(yield* Effect.provide(Migrations.run, client), [])
        const stores = Migrations.layer.pipe(Layer.provideMerge(PostgresStores.layer({ url })))
        const repo = Context.get(
          yield* Layer.build(Layer.fresh(MessageRepo.layer().pipe(Layer.provide(stores)))),
          MessageRepo
        )
        if (url === eraser.url) yield* repo.forget(ForgetQuery.cases.Chat.make(chat))
        else yield* repo.requestStop(ref)
      }
    })
  )

  it.live("is named to a role that has no right in it", () =>
    Effect.gen(function* () {
      const { agent, owner } = yield* withRoles
      yield* Effect.provideService(Migrations.run, SqlClient.SqlClient, owner)
      const error = yield* Effect.flip(Effect.provide(Migrations.run, agent.client))
      assert.include(error.message, "migrations/postgresql/rights.sql")
      const { store } = yield* storesOf(agent.client)
      const refused = yield* Effect.flip(store.forget(ForgetQuery.cases.Chat.make(chat)))
      assert.strictEqual(refused.reason._tag, "StoreUnavailable")
      assert.include(refused.message, "permission denied for table agent_runs")
      assert.include(refused.message, "migrations/postgresql/rights.sql")
    })
  )

  it.live("is no right to make tables, and who has none is told so", () =>
    Effect.gen(function* () {
      const { agent, owner } = yield* withRoles
      const error = yield* Effect.flip(Effect.provide(Migrations.run, agent.client))
      assert.include(error.message, "permission denied for schema public")
      assert.include(error.message, "as a role that may make tables")
      const tables = yield* Effect.provideService(tablesOf, SqlClient.SqlClient, owner)
      assert.deepStrictEqual(tables, [])
    })
  )
})

// What the errors of the ports hide in their causes.
const causes = (_key: string, value: unknown) =>
  value instanceof Error ? { ...value, message: value.message, cause: value.cause } : value

const forbidden = [
  "UPDATE agent_runs SET outcome = 'completed'",
  "UPDATE agent_runs SET run_id = 'other'",
  "DELETE FROM agent_runs",
  "SELECT user_id FROM agent_tombstones",
  "SELECT * FROM agent_messages",
  "SELECT * FROM agent_leases",
  "UPDATE agent_tombstones SET target_key = 'other'",
  "CREATE TABLE mine (x integer)"
]

const forbiddenToErase = [
  "SELECT text FROM agent_messages",
  "SELECT original_text FROM agent_messages",
  "SELECT debug_info FROM agent_messages",
  "DELETE FROM agent_messages RETURNING *",
  "UPDATE agent_messages SET text = ''",
  "UPDATE agent_runs SET stop_note = ''",
  "SELECT stop_note FROM agent_tombstones"
]
