/**
 * `MessageStore` on PostgreSQL and SQLite, in tables of its own that `Migrations` makes.
 *
 * Each operation is one statement or one transaction. Runs are passed as one JSON parameter, so that
 * a thousand cost as many round trips as one. All times are the database's own clock.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import {
  type ForgetQuery,
  MessageStore,
  type Run,
  type RunQuery,
  Setting,
  type StopLook
} from "effect-cancellation"
import { SqlClient, SqlError, type Statement } from "effect/sql"
import { dialectOf } from "./internal/dialect.ts"
import { plainly, storeErrors } from "./internal/errors.ts"
import { catalogOf } from "./internal/flagCatalog.ts"
import { makeFlagStatements } from "./internal/flagStatements.ts"
import { makeFlagStore } from "./internal/flagStore.ts"
import { checkTable, type FlagTable, type UnfitTable } from "./internal/flagTable.ts"
import { makeKeys, tenantOf } from "./internal/keys.ts"
import { recordsOf, requestOf, type Row } from "./internal/rows.ts"
import { makeRuns } from "./internal/runs.ts"
import { makeRunTable } from "./internal/runTable.ts"
import { channelOf } from "./internal/settings.ts"
import { makeStops } from "./internal/stops.ts"
import { makeTransactions } from "./internal/transactions.ts"

/**
 * Settings of the store. A value that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlMessageStoreOptions {
  /** How long a stop waits for a run that has not begun. Default 30 seconds. */
  readonly tombstoneTtl?: Duration.Input | undefined
  /**
   * The channel on which PostgreSQL announces a stop, in the transaction that stores it: what
   * `PgStopSignal` listens to. `false` announces nothing, for polling alone or for another signal.
   * Default `effect_cancellation`; SQLite announces nothing.
   */
  readonly notify?: string | false | undefined
}

/**
 * A table that carries a flag, and how its stops are announced.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlagTableOptions extends FlagTable, Pick<SqlMessageStoreOptions, "notify"> {}

/**
 * The store on the `SqlClient` of the context. It never changes the schema: see `Migrations`.
 *
 * A process that runs agents has one row in `agent_leases`. It stays when the process ends, until
 * `sweepLost` finds it expired, whichever process calls it: a `MessageRepo` with runs does so by
 * itself, once it has held a lease of its own for a whole `leaseTtl`.
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { Layer, Redacted } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { SqlMessageStore } from "effect-cancellation-sql"
 *
 * const Repo = MessageRepo.layer().pipe(
 *   Layer.provide(SqlMessageStore.layer()),
 *   Layer.provide(PgClient.layer({ url: Redacted.make("postgres://app@localhost/app") }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: SqlMessageStoreOptions
): Layer.Layer<MessageStore, never, SqlClient.SqlClient> =>
  Layer.effect(
    MessageStore,
    Effect.suspend(() => make(options))
  )

/**
 * The store on a table of the application's own, whose messages already carry a flag: nothing else is
 * needed, and nothing else is written.
 *
 * A flag knows no runs: `findRuns`, `forget` and outcomes are `Unsupported`, a stop ends whichever run
 * writes the message, and the flag must be cleared before the same message is written anew. Receipts
 * name the message's own id as their run (or the run asked for), and the reason `user`, whatever was
 * asked: a flag keeps neither reason, actor nor note. A stop for a message without a row fails with
 * `RunNotFound`; one for a whole chat needs `completedAt`, and stops all its rows that are not
 * complete. Company, user and chat must match as texts, letter for letter.
 *
 * Table and columns are looked at when the layer is built; it fails with {@link UnfitTable}, which
 * names all that is wrong.
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { Layer, Redacted } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { SqlMessageStore } from "effect-cancellation-sql"
 *
 * const Store = SqlMessageStore.layerWith({
 *   table: "messages",
 *   columns: { chatId: "chat_id", messageId: "id", userAbortedAt: "user_aborted_at" }
 * })
 * const Repo = MessageRepo.layer().pipe(
 *   Layer.provide(Store),
 *   Layer.provide(PgClient.layer({ url: Redacted.make("postgres://app@localhost/app") }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: FlagTableOptions
): Layer.Layer<MessageStore, UnfitTable | SqlError.SqlError, SqlClient.SqlClient> =>
  Layer.effect(
    MessageStore,
    Effect.mapError(
      Effect.suspend(() => makeWith(options)),
      (error) => (SqlError.isSqlError(error) ? plainly(error) : error)
    )
  )

export { type FlagTable, UnfitTable } from "./internal/flagTable.ts"

const makeWith = Effect.fnUntraced(function* (options: FlagTableOptions) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const dialect = yield* dialectOf(sql)
  const channel = dialect.name === "pg" ? yield* channelOf(options.notify) : undefined
  const catalog = catalogOf(sql, dialect)
  const transactions = makeTransactions(sql, dialect)
  const table = yield* checkTable(sql, catalog, transactions.read, options)
  const statements = makeFlagStatements({ sql, dialect, catalog, table, channel })
  // What the catalog does not tell, a statement does: whether the table may be read.
  yield* transactions.read(statements.look([]))
  return makeFlagStore({ table, statements, transactions, hints: channel !== undefined })
})

const make = Effect.fnUntraced(function* (options: SqlMessageStoreOptions = {}) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const dialect = yield* dialectOf(sql)
  const tombstoneTtl = Duration.toMillis(
    yield* Setting.positive("tombstoneTtl", options.tombstoneTtl ?? "30 seconds")
  )
  const channel = dialect.name === "pg" ? yield* channelOf(options.notify) : undefined
  const { read, transaction, write } = makeTransactions(sql, dialect)
  const runTable = makeRunTable(sql, dialect, channel)
  const keys = makeKeys()
  const stops = makeStops({ sql, dialect, keys, runTable, tombstoneTtl })
  const runs = makeRuns({ sql, dialect, keys, runTable, stops })

  // The last row tells the time, also when there is nothing else to tell.
  const looking = (
    position: Statement.Fragment,
    list: Statement.Fragment,
    run: Statement.Fragment
  ) =>
    sql`SELECT ${position} AS position, r.sequence, r.stop_reason,
        ${sql.literal(dialect.millis("r.user_aborted_at"))} AS user_aborted_at,
        r.stop_requested_by, r.stop_note, NULL AS now
      FROM ${list} LEFT JOIN ${dialect.runs} ON ${run}
      WHERE r.sequence IS NULL OR r.user_aborted_at IS NOT NULL OR r.outcome = 'lost'
      UNION ALL SELECT -1, NULL, NULL, NULL, NULL, NULL, ${dialect.nowMillis}`.compile()
  // Put together once: this is asked at every tick, and of one run after every hint.
  const [lookAtMany] = looking(dialect.position, dialect.items([]), runTable.sameRun)
  const [lookAtOne] = looking(
    sql.literal("0"),
    sql.literal("(SELECT 1) AS w"),
    sql`r.run_key = ${""}`
  )

  const stopRequests = (asked: ReadonlyArray<Run>) => {
    const [first] = asked
    const rows =
      first !== undefined && asked.length === 1
        ? sql.unsafe<Row>(lookAtOne, [keys.run(first)])
        : dialect.planned(
            sql.unsafe<Row>(lookAtMany, dialect.itemValues(asked.map((run) => [keys.run(run)])))
          )
    return Effect.map(rows, (found) => lookOf(asked, found))
  }

  const findRuns = (query: RunQuery) => {
    const running = query.runningOnly === true ? sql`outcome IS NULL` : sql`1 = 1`
    if (query._tag !== "Refs") {
      return dialect.planned(sql<Row>`SELECT ${runTable.columns} FROM agent_runs
        WHERE ${running} AND ${within(query)} ORDER BY sequence`)
    }
    const messages = query.refs.map((ref) => [keys.message(ref)])
    return dialect.planned(sql<Row>`SELECT ${runTable.columns} FROM agent_runs
      WHERE ${running} AND message_key IN (SELECT w.value ->> 0 FROM ${dialect.items(messages)})
      ORDER BY sequence`)
  }

  const within = (query: {
    companyId?: string
    userId?: string
    chatId?: string
    messageId?: string
  }) =>
    sql.and([
      sql`company_id = ${tenantOf(query)[0]}`,
      ...(query.userId === undefined ? [] : [sql`user_id = ${query.userId}`]),
      ...(query.chatId === undefined ? [] : [sql`chat_id = ${query.chatId}`]),
      ...(query.messageId === undefined ? [] : [sql`message_id = ${query.messageId}`])
    ])

  const forget = Effect.fnUntraced(function* (query: ForgetQuery) {
    if (query._tag === "EndedBefore") {
      return yield* erase(sql`ended_at < ${dialect.time(sql`${query.time}`)}`)
    }
    // What starts or is stopped there meanwhile comes before all of this, or after all of it.
    const chats =
      yield* dialect.planned(sql<Row>`SELECT user_id, chat_id FROM agent_runs WHERE ${within(query)}
      UNION SELECT user_id, chat_id FROM agent_tombstones WHERE ${within(query)}`)
    yield* dialect.lockChats(
      chats.map((row) =>
        keys.chat(tenantOf(query)[0], String(row["user_id"]), String(row["chat_id"]))
      )
    )
    // Nothing of a chat that was not there a moment ago, and is not locked: that begins after this.
    const here = sql`${within(query)} AND (user_id, chat_id) IN (SELECT w.value ->> 0, w.value ->> 1
      FROM ${dialect.items(chats.map((row) => [row["user_id"], row["chat_id"]]))})`
    const count = yield* erase(here)
    yield* sql`DELETE FROM agent_tombstones WHERE ${here}`
    return count
  })

  // The rows are locked in the order in which everybody does it.
  const erase = (which: Statement.Fragment) =>
    Effect.map(
      dialect.planned(sql`DELETE FROM agent_runs WHERE run_key IN
        (SELECT run_key FROM agent_runs WHERE ${which} ORDER BY sequence ${dialect.locking})
        RETURNING sequence`),
      (rows) => rows.length
    )

  return MessageStore.of({
    supports: {
      runs: true,
      stops: true,
      find: true,
      leases: true,
      erasure: true,
      hints: channel !== undefined
    },
    stopRequests: (asked) => storeErrors("stopRequests", read(stopRequests(asked))),
    startRuns: (started, lease) =>
      storeErrors("startRuns", transaction(runs.start(started, lease))),
    requestStop: (target, intent) =>
      storeErrors(
        "requestStop",
        target._tag === "Chat"
          ? transaction(stops.request(target, intent))
          : Effect.flatMap(write(stops.requestAtOnce(target, intent)), (receipts) =>
              receipts.length > 0
                ? Effect.succeed(receipts)
                : transaction(stops.request(target, intent))
            )
      ),
    advanceRuns: (changes) =>
      storeErrors(
        "advanceRuns",
        Effect.catchTag(transaction(runs.advance(changes)), "RunsAbsent", () =>
          transaction(runs.advanceBehindStarts(changes))
        )
      ),
    findRuns: (query) => storeErrors("findRuns", Effect.flatMap(read(findRuns(query)), recordsOf)),
    renewLease: (lease) => storeErrors("renewLease", write(runs.renewLease(lease))),
    sweepLost: storeErrors("sweepLost", transaction(runs.sweepLost)),
    forget: (query) => storeErrors("forget", transaction(forget(query)))
  })
})

const lookOf = (asked: ReadonlyArray<Run>, rows: ReadonlyArray<Row>): StopLook => {
  const requests: Array<StopLook["requests"][number]> = []
  const gone: Array<Run> = []
  const lost: Array<Run> = []
  const failures: Array<StopLook["failures"][number]> = []
  for (const row of rows) {
    const run = asked[Number(row["position"])]
    if (run === undefined) continue
    if (row["sequence"] === null) gone.push(run)
    else if (row["user_aborted_at"] === null) lost.push(run)
    else {
      const request = requestOf(row)
      if (Result.isSuccess(request)) requests.push({ run, request: request.success })
      else failures.push({ run, error: request.failure })
    }
  }
  const time = rows.find((row) => Number(row["position"]) === -1)
  return { requests, gone, lost, failures, now: Number(time?.["now"]) }
}
