// What is SQLite's own; the rest is in the contract suites.
import path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import {
  CancellationWatcher,
  ChatId,
  MessageId,
  MessageRef,
  MessageRepo,
  MessageStore,
  ProcessId,
  Run,
  RunId,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { vi } from "vitest"
import * as Migrations from "../src/sqlite/migrations.ts"
import * as SqliteMessageStore from "../src/sqlite/SqliteMessageStore.ts"
import { startServer } from "./DemoProcess.ts"
import { newFile, openFile, temporaryFolder } from "./SqliteFile.ts"

vi.setConfig({ testTimeout: 60_000 })

const store = SqliteMessageStore.layer().pipe(Layer.provideMerge(newFile))
const lease = { owner: ProcessId.make("process"), ttl: Duration.seconds(30) }

const runOf = (name: string) =>
  Run.make({
    ref: MessageRef.make({ chatId: ChatId.make("chat"), messageId: MessageId.make(name) }),
    runId: RunId.make("run")
  })

const stop = (run: Run) =>
  Effect.flatMap(MessageStore, ({ requestStop }) =>
    requestStop(StopTarget.cases.Run.make({ run }), StopIntent.make({ reason: "user" }))
  )

it.live("a malformed row is a failure of its own run and hides no other", () =>
  Effect.gen(function* () {
    const { findRuns, requestStop, startRuns, stopRequests } = yield* MessageStore
    const sql = yield* SqlClient.SqlClient
    const runs = ["good", "bad", "never"].map(runOf)
    yield* startRuns(runs.slice(0, 2), lease)
    yield* Effect.forEach(runs.slice(0, 2), stop)
    yield* sql`UPDATE agent_runs SET stop_reason = 'nonsense', stop_note = 'secret' WHERE message_id = 'bad'`

    const look = yield* stopRequests(runs)
    assert.deepStrictEqual(
      look.requests.map(({ run }) => run.ref.messageId),
      ["good"]
    )
    assert.deepStrictEqual(
      look.gone.map(({ ref }) => ref.messageId),
      ["never"]
    )
    const [failure] = look.failures
    assert.strictEqual(failure?.run.ref.messageId, "bad")
    assert.strictEqual(failure?.error.reason._tag, "MalformedRow")
    assert.include(failure?.error.message, "reason")
    assert.notInclude(failure?.error.message, "secret")

    const chat = { _tag: "Chat", chatId: ChatId.make("chat") } as const
    assert.lengthOf(yield* findRuns(chat), 1)
    assert.lengthOf(yield* requestStop(chat, StopIntent.make({ reason: "user" })), 1)
    const refs = { _tag: "Refs", refs: [runOf("bad").ref] } as const
    const error = yield* Effect.flip(findRuns(refs))
    assert.strictEqual(error.reason._tag, "MalformedRow")
  }).pipe(Effect.provide(store))
)

it.live("the hot read and the writes find a thousand runs by index", () =>
  Effect.gen(function* () {
    const { advanceRuns, startRuns, stopRequests } = yield* MessageStore
    const sql = yield* SqlClient.SqlClient
    const runs = Array.from({ length: 1000 }, (_, index) => runOf(`m${index}`))
    assert.lengthOf(yield* startRuns(runs, lease), 1000)
    assert.lengthOf((yield* stopRequests(runs)).gone, 0)
    assert.lengthOf(yield* advanceRuns(runs.map((run) => ({ run, to: "completed" }))), 1000)

    const joined = `company_id = w.value ->> 0 AND user_id = w.value ->> 1
      AND chat_id = w.value ->> 2 AND message_id = w.value ->> 3 AND run_id = w.value ->> 4`
    for (const statement of [
      `SELECT r.outcome FROM json_each('[]') AS w LEFT JOIN agent_runs AS r ON ${joined}`,
      `UPDATE agent_runs SET outcome = 'lost' FROM json_each('[]') AS w WHERE ${joined} AND outcome IS NULL`,
      `UPDATE agent_runs SET current = 0 WHERE current = 1
        AND (company_id, user_id, chat_id, message_id) IN
          (SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, w.value ->> 3 FROM json_each('[]') AS w)`
    ]) {
      const plan = yield* sql.unsafe<{ detail: string }>(`EXPLAIN QUERY PLAN ${statement}`)
      const details = plan.map(({ detail }) => detail).join("; ")
      assert.include(details, "SEARCH", details)
      assert.notMatch(details, /SCAN (r|agent_runs)/, details)
    }
  }).pipe(Effect.provide(store))
)

it("a check is synchronous", async () => {
  const run = runOf("m")
  const runtime = ManagedRuntime.make(
    CancellationWatcher.layer({ ref: run.ref, runId: run.runId }).pipe(
      Layer.provide(MessageRepo.layer()),
      Layer.provideMerge(store)
    )
  )
  try {
    const { startRuns } = await runtime.runPromise(Effect.service(MessageStore))
    await runtime.runPromise(startRuns([run], lease))
    assert.isFalse(runtime.runSync(CancellationWatcher.check))
    await runtime.runPromise(stop(run))
    assert.isTrue(runtime.runSync(CancellationWatcher.check))
  } finally {
    await runtime.dispose()
  }
})

it.live("a file that another process has locked is waited for, without blocking this one", () =>
  Effect.gen(function* () {
    const file = path.join(yield* temporaryFolder, "locked.sqlite")
    const layer = SqliteMessageStore.layer().pipe(Layer.provide(openFile(file)))
    yield* Effect.gen(function* () {
      const { startRuns } = yield* MessageStore
      const other = new DatabaseSync(file)
      other.exec("BEGIN IMMEDIATE")
      let longest = 0
      let last = performance.now()
      const beat = setInterval(() => {
        longest = Math.max(longest, performance.now() - last)
        last = performance.now()
      }, 1)
      const release = setTimeout(() => other.exec("COMMIT"), 400)
      const started = yield* startRuns([runOf("m")], lease).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            clearInterval(beat)
            clearTimeout(release)
          })
        )
      )
      other.close()
      assert.lengthOf(started, 1)
      assert.isBelow(longest, 150)
    }).pipe(Effect.provide(layer))
  }).pipe(Effect.scoped)
)

it.live("a file that stays locked is an error that may be tried again", () =>
  Effect.gen(function* () {
    const file = path.join(yield* temporaryFolder, "locked.sqlite")
    const layer = SqliteMessageStore.layer().pipe(Layer.provide(openFile(file)))
    yield* Effect.gen(function* () {
      const { startRuns, stopRequests } = yield* MessageStore
      const other = new DatabaseSync(file)
      other.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(startRuns([runOf("m")], lease))
      assert.strictEqual(error.reason._tag, "StoreUnavailable")
      // readers do not mind
      assert.lengthOf((yield* stopRequests([runOf("m")])).gone, 1)
      other.exec("COMMIT")
      other.close()
      assert.lengthOf(yield* startRuns([runOf("m")], lease), 1)
    }).pipe(Effect.provide(layer))
  }).pipe(Effect.scoped)
)

it.live("servers that start on a new file at the same time make its tables once", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    yield* Effect.forEach([1, 2, 3], () => startServer({ folder }), { concurrency: "unbounded" })
    const file = new DatabaseSync(path.join(folder, "chat.sqlite"))
    const [row] = file.prepare("SELECT count(*) AS made FROM effect_cancellation_migrations").all()
    file.close()
    assert.strictEqual(row?.["made"], 2)
  }).pipe(Effect.scoped)
)

it.live("a file that is read-only is refused before anything is asked of it", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // Mode bits would not keep root from writing.
    yield* sql`PRAGMA query_only = ON`
    const error = yield* Effect.flip(Layer.build(Layer.fresh(Migrations.layer)))
    assert.match(error.message, /readonly database/)
  }).pipe(Effect.provide(newFile), Effect.scoped)
)
