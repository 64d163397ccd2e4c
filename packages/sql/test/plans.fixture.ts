/** What PostgreSQL makes of the statements that the stores really send. */
import { PgClient } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Reactivity } from "effect/reactivity"
import {
  ChatId,
  ForgetQuery,
  MessageRef,
  MessageStore,
  type MessageStoreError,
  ProcessId,
  Run,
  RunId,
  RunQuery,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { SqlClient, type SqlConnection, Statement } from "effect/sql"
import * as SqlMessageStore from "../src/SqlMessageStore.ts"

/** A statement as it was sent. */
export interface Sent {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
}

/** A client that keeps what is sent through it. */
export const recording = Effect.fnUntraced(function* (client: SqlClient.SqlClient) {
  const kept: Array<Sent> = []
  const recorded = (connection: SqlConnection.Connection): SqlConnection.Connection => {
    const keep = (text: string, params: ReadonlyArray<unknown>) => {
      if (/^\s*(SELECT|WITH|INSERT|UPDATE|DELETE)/.test(text)) kept.push({ text, params })
    }
    return {
      executeRaw: (text, params) => connection.executeRaw(text, params),
      executeStream: (text, params, transform) => connection.executeStream(text, params, transform),
      executeValues: (text, params) => connection.executeValues(text, params),
      executeValuesUnprepared: (text, params) => connection.executeValuesUnprepared(text, params),
      execute: (text, params, transform) => {
        keep(text, params)
        return connection.execute(text, params, transform)
      },
      executeUnprepared: (text, params, transform) => {
        keep(text, params)
        return connection.executeUnprepared(text, params, transform)
      }
    }
  }
  const sql = yield* SqlClient.make({
    acquirer: Effect.map(client.reserve, recorded),
    compiler: client.onDialectOrElse({
      pg: () => PgClient.makeCompiler(),
      orElse: () => Statement.makeCompilerSqlite()
    }),
    driver: client.driver,
    spanAttributes: []
  }).pipe(Effect.provide(Reactivity.layer))
  const store = yield* Layer.build(
    Layer.provide(SqlMessageStore.layer(), Layer.succeed(SqlClient.SqlClient, sql))
  )
  return {
    store: Context.get(store, MessageStore),
    take: Effect.sync(() => kept.splice(0)),
    /** What an effect sends; it is undone. */
    sentBy: <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        kept.splice(0)
        yield* Effect.flip(sql.withTransaction(Effect.andThen(effect, Effect.fail("undone"))))
        return kept.splice(0)
      })
  }
})

/** The run that {@link fill} makes of this number. */
const runAt = (n: number): Run => {
  const nth = (size: number) => Math.floor(n / size)
  return Run.make({
    ref: MessageRef.of({
      companyId: `company-${nth(10_000)}`,
      userId: `user-${nth(100)}`,
      chatId: `chat-${nth(10)}`,
      messageId: `message-${n}`
    }),
    runId: RunId.make(`run-${n}`)
  })
}

/** What a program asks of a store that has so many runs, all but sweeping and erasing by age. */
export const operations = (
  store: MessageStore["Service"],
  count: number
): Readonly<Record<string, Effect.Effect<unknown, MessageStoreError>>> => {
  const some = (many: number) =>
    Array.from({ length: many }, (_, index) => runAt(Math.floor((index * count) / many)))
  const run = runAt(0)
  const fresh = (runs: ReadonlyArray<Run>) =>
    runs.map(({ ref }) => Run.make({ ref, runId: RunId.make("new") }))
  const lease = { owner: ProcessId.make("process"), ttl: Duration.hours(1) }
  const intent = StopIntent.make({ reason: "user" })
  const { messageId: _messageId, ...chat } = run.ref
  const { messageId: _other, ...endedChat } = runAt(17).ref
  const { messageId: _none, ...noChat } = { ...run.ref, chatId: ChatId.make("nowhere") }
  const stop = (target: StopTarget) => store.requestStop(target, intent)
  return {
    "stopRequests of 1": store.stopRequests(some(1)),
    "stopRequests of 10": store.stopRequests(some(10)),
    "stopRequests of 1,000": store.stopRequests(some(1000)),
    "startRuns of 1 that is new": store.startRuns(fresh(some(1)), lease),
    "startRuns of 1,000 that are new": store.startRuns(fresh(some(1000)), lease),
    "startRuns of 1,000 once more": store.startRuns(some(1000), lease),
    "advanceRuns of 1": store.advanceRuns([{ run, to: "observed" }]),
    "advanceRuns of 1,000": store.advanceRuns(
      some(1000).map((each) => ({ run: each, to: "failed" }))
    ),
    "requestStop of a run": stop(StopTarget.cases.Run.make({ run })),
    "requestStop of a message": stop(StopTarget.cases.Message.make({ ref: run.ref })),
    "requestStop of a message that has ended": stop(
      StopTarget.cases.Message.make({ ref: runAt(17).ref })
    ),
    "requestStop of a chat": stop(StopTarget.cases.Chat.make(chat)),
    "requestStop of a chat in which nothing runs": stop(StopTarget.cases.Chat.make(endedChat)),
    "requestStop of a chat that is not there": stop(StopTarget.cases.Chat.make(noChat)),
    "findRuns of 10 messages": store.findRuns(
      RunQuery.cases.Refs.make({ refs: some(10).map(({ ref }) => ref) })
    ),
    "findRuns of a chat": store.findRuns(RunQuery.cases.Chat.make(chat)),
    "findRuns of a chat, running": store.findRuns(
      RunQuery.cases.Chat.make({ ...chat, runningOnly: true })
    ),
    "forget a chat": store.forget(ForgetQuery.cases.Chat.make(chat))
  }
}

/** A key as `internal/keys.ts` makes it of these ids, in SQL. */
const key = (...ids: ReadonlyArray<string>) =>
  `rtrim(translate(encode(sha256(convert_to('["' || concat_ws('","', ${ids.join(", ")}) || '"]',
    'UTF8')), 'base64'), '+/', '-_'), '=')`

/**
 * Fills `agent_runs`: each run is of a message of its own, ten messages make a chat, a thousand chats
 * a company, and one run of a thousand is still running.
 */
export const fill = (sql: SqlClient.SqlClient, count: number) =>
  sql.unsafe(`INSERT INTO agent_runs (run_key, message_key, company_id, user_id, chat_id, message_id,
      run_id, owner, started_at, current, ended_at, outcome)
    SELECT ${key("c", "u", "t", "m", "r")}, ${key("c", "u", "t", "m")}, c, u, t, m, r, 'process',
      now() - interval '1 hour', TRUE,
      CASE WHEN n % 1000 > 0 THEN now() - interval '50 minutes' END,
      CASE WHEN n % 1000 > 0 THEN 'completed' END
    FROM generate_series(0, ${count - 1}) AS n, LATERAL (SELECT 'company-' || n / 10000 AS c,
      'user-' || n / 100 AS u, 'chat-' || n / 10 AS t, 'message-' || n AS m, 'run-' || n AS r) AS ids`)

const literal = (value: unknown): string => {
  if (value === null || value === undefined) return "NULL"
  if (Array.isArray(value)) return `'{${value.join(",")}}'`
  return `'${(typeof value === "string" ? value : JSON.stringify(value)).replaceAll("'", "''")}'`
}

/** How PostgreSQL carries out a statement, undone at once. */
export const planOf = Effect.fnUntraced(function* (
  client: PgClient.PgClient,
  { params, text }: Sent,
  mode: "force_custom_plan" | "force_generic_plan" | "auto"
) {
  const run = (statement: string) => client.unsafe<Record<string, unknown>>(statement)
  const values = params.length === 0 ? "" : `(${params.map(literal).join(", ")})`
  const plan = Effect.gen(function* () {
    yield* run(`SET LOCAL plan_cache_mode = ${mode}`)
    yield* run(`PREPARE asked AS ${text}`)
    const lines = yield* run(`EXPLAIN (ANALYZE, BUFFERS) EXECUTE asked ${values}`)
    yield* run("DEALLOCATE asked")
    return lines.map((line) => String(line["QUERY PLAN"])).join("\n")
  })
  return yield* client
    .withTransaction(Effect.flatMap(plan, undone))
    .pipe(Effect.catchTag("Undone", ({ value }) => Effect.succeed(value)))
})

// An error undoes a transaction.
class Undone extends Data.TaggedError("Undone")<{ readonly value: string }> {}
const undone = (value: string) => Effect.fail(new Undone({ value }))
