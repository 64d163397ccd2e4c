// What is SQLite's own; the rest is in the contract suites.
import { writeFileSync } from "node:fs"
import path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
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
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, Statement } from "effect/sql"
import { vi } from "vitest"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import * as SqliteClient from "../src/SqliteClient.ts"
import { spiedAfter } from "./spied.fixture.ts"
import { newFile, openFile, temporaryFolder } from "./SqliteFile.ts"

vi.setConfig({ testTimeout: 60_000 })

const store = SqlMessageStore.layer().pipe(Layer.provideMerge(newFile))
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

// A client on a new file that notes each statement with its parameters.
const noting = Effect.gen(function* () {
  const connection = yield* (yield* SqlClient.SqlClient).reserve
  const noted = new Map<string, ReadonlyArray<unknown>>()
  const execute: SqlConnection.Connection["execute"] = (statement, params, transform) => {
    noted.set(statement, params)
    return connection.execute(statement, params, transform)
  }
  const client = yield* SqlClient.make({
    acquirer: Effect.succeed({ ...connection, execute }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "sqlite-node",
    spanAttributes: []
  })
  return { client, connection, noted }
})

it.live("what is done for many runs at once finds each by an index", () =>
  Effect.gen(function* () {
    const { client, connection, noted } = yield* noting
    const runs = Array.from({ length: 1000 }, (_, index) => runOf(`m${index}`))
    const intent = StopIntent.make({ reason: "user" })
    const chat = { chatId: ChatId.make("chat") }
    yield* Effect.gen(function* () {
      const { advanceRuns, findRuns, requestStop, startRuns, stopRequests } = yield* MessageStore
      assert.lengthOf(yield* startRuns(runs, lease), 1000)
      assert.lengthOf(yield* startRuns(runs, lease), 1000)
      assert.lengthOf((yield* stopRequests(runs)).gone, 0)
      yield* stop(runOf("m1"))
      yield* requestStop(StopTarget.cases.Message.make({ ref: runOf("m2").ref }), intent)
      yield* requestStop(StopTarget.cases.Chat.make(chat), intent)
      yield* requestStop(StopTarget.cases.Chat.make({ chatId: ChatId.make("empty") }), intent)
      assert.lengthOf(yield* findRuns({ _tag: "Refs", refs: runs.map(({ ref }) => ref) }), 1000)
      assert.lengthOf(yield* findRuns({ _tag: "Chat", ...chat }), 1000)
      assert.lengthOf(yield* advanceRuns(runs.map((run) => ({ run, to: "completed" }))), 1000)
    }).pipe(
      Effect.provide(SqlMessageStore.layer()),
      Effect.provideService(SqlClient.SqlClient, client)
    )

    const onTables = Array.from(noted).filter(([statement]) => / agent_(runs|tomb)/.test(statement))
    assert.isAtLeast(onTables.length, 10)
    for (const [statement, params] of onTables) {
      const plan = yield* connection.execute(`EXPLAIN QUERY PLAN ${statement}`, params, undefined)
      const details = plan.map((step) => ("detail" in step ? String(step.detail) : "")).join("; ")
      assert.notMatch(details, /SCAN (r|agent_\w+)\b/, `${statement}\n${details}`)
    }
  }).pipe(Effect.provide(Layer.merge(newFile, Reactivity.layer)), Effect.scoped)
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
    const layer = SqlMessageStore.layer().pipe(Layer.provide(openFile(file)))
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
    const layer = SqlMessageStore.layer().pipe(Layer.provide(openFile(file)))
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

it.live("a file that is read-only is refused before anything is asked of it", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // Mode bits would not keep root from writing.
    yield* sql`PRAGMA query_only = ON`
    const error = yield* Effect.flip(Layer.build(Layer.fresh(Migrations.layer)))
    assert.match(error.message, /readonly database/)
  }).pipe(Effect.provide(newFile), Effect.scoped)
)

it.live("a file that cannot be opened is named, once and with what is wrong", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const errorOf = (filename: string) =>
      Effect.flip(Layer.build(Layer.fresh(SqliteClient.layer({ filename }))))
    const missing = path.join(folder, "missing", "stops.sqlite")
    assert.strictEqual(
      (yield* errorOf(missing)).message,
      `SQLite could not open ${JSON.stringify(missing)}: unable to open database file`
    )
    const text = path.join(folder, "notes.txt")
    writeFileSync(text, "nothing that SQLite has written\n".repeat(100))
    assert.strictEqual(
      (yield* errorOf(text)).message,
      `SQLite could not open ${JSON.stringify(text)}: file is not a database`
    )
  }).pipe(Effect.scoped)
)

it.live("the migrations never put back the application's own user_version", () =>
  Effect.gen(function* () {
    const filename = path.join(yield* temporaryFolder, "shared.sqlite")
    // with no patience, since this process is the one that it would wait for
    const app = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(filename, { timeout: 0 })),
      (opened) => Effect.sync(() => opened.close())
    )
    app.exec("PRAGMA journal_mode = WAL; PRAGMA user_version = 1")
    let wrote: boolean | undefined
    const write = () => {
      try {
        app.exec("PRAGMA user_version = 2")
        return true
      } catch {
        return false
      }
    }
    const sql = Context.get(
      yield* Layer.build(SqliteClient.layer({ filename })),
      SqlClient.SqlClient
    )
    // between its reading and its writing
    const spied = spiedAfter(
      sql,
      /^PRAGMA user_version$/,
      Effect.sync(() => (wrote ??= write()))
    )
    yield* Effect.provideService(Migrations.run, SqlClient.SqlClient, spied)
    assert.isDefined(wrote)
    const version = app.prepare("PRAGMA user_version").get()?.["user_version"]
    assert.strictEqual(version, wrote ? 2 : 1)
  }).pipe(Effect.scoped)
)
