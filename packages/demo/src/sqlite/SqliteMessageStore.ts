/**
 * `MessageStore` on SQLite: complete, for any number of processes on one file.
 *
 * Each operation that writes is one immediate transaction, each read one statement. Runs are passed
 * as one JSON parameter, so a thousand cost as many statements as one. Times are SQLite's own.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Result from "effect/Result"
import {
  defaultTenant,
  InvalidSetting,
  MessageStore,
  MessageStoreError,
  type ForgetQuery,
  type Lease,
  type Run,
  type RunChange,
  type RunQuery,
  type StopIntent,
  type StopLook,
  type StopTarget,
  unavailable
} from "effect-cancellation"
import { SqlClient, type SqlConnection, type SqlError } from "effect/sql"
import { keyOf, keysParameter, recordsOf, requestOf, targetKey } from "./RunRow.ts"
import { retryBusy } from "./SqliteClient.ts"
import { makeStops } from "./SqliteStops.ts"

type Row = SqlConnection.Row

/** Options of the store. */
export interface Options {
  /** How long a stop waits for a run that has not begun. Default: 30 seconds. */
  readonly tombstoneTtl?: Duration.Input | undefined
}

const make = Effect.fnUntraced(function* (options?: Options) {
  const sql = yield* SqlClient.SqlClient
  const tombstoneTtl = Duration.toMillis(options?.tombstoneTtl ?? "30 seconds")
  if (!Number.isFinite(tombstoneTtl) || tombstoneTtl <= 0) {
    return yield* Effect.die(
      new InvalidSetting({
        option: "tombstoneTtl",
        value: `${tombstoneTtl} ms`,
        range: "a finite time above zero"
      })
    )
  }
  const stops = makeStops(sql, tombstoneTtl)

  const now = sql.literal("CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")
  const currentTime = Effect.map(
    sql<{ now: number }>`SELECT ${now} AS now`,
    ([row]) => row?.now ?? 0
  )

  // Not even the fiber's own budget suspends a transaction: nothing else of this process could
  // use the connection meanwhile, and no other process could write.
  const run =
    (operation: string) =>
    <A>(
      effect: Effect.Effect<A, SqlError.SqlError | MessageStoreError>
    ): Effect.Effect<A, MessageStoreError> =>
      retryBusy(effect).pipe(
        Effect.mapError((error) =>
          error instanceof MessageStoreError ? error : unavailable(operation, error)
        ),
        Effect.provideService(References.PreventSchedulerYield, true)
      )

  const transaction =
    (operation: string) =>
    <A>(effect: Effect.Effect<A, SqlError.SqlError | MessageStoreError>) =>
      run(operation)(sql.withTransaction(effect))

  const rowsOf = (keys: string) =>
    sql<Row>`SELECT r.* FROM json_each(${keys}) AS w
      CROSS JOIN agent_runs AS r INDEXED BY agent_runs_key
      ON r.company_id = w.value ->> 0 AND r.user_id = w.value ->> 1 AND r.chat_id = w.value ->> 2
        AND r.message_id = w.value ->> 3 AND r.run_id = w.value ->> 4
      ORDER BY w.key`

  const stopRequests = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>) {
    const keys = keysParameter(runs.map(keyOf))
    // The last row tells the time, also when there is nothing else to tell.
    const rows = yield* sql<Row>`SELECT w.key AS position, r.sequence, r.user_aborted_at,
        r.stop_reason, r.stop_requested_by, r.stop_note, r.outcome, NULL AS now
      FROM json_each(${keys}) AS w LEFT JOIN agent_runs AS r INDEXED BY agent_runs_key
      ON r.company_id = w.value ->> 0 AND r.user_id = w.value ->> 1 AND r.chat_id = w.value ->> 2
        AND r.message_id = w.value ->> 3 AND r.run_id = w.value ->> 4
      WHERE r.sequence IS NULL OR r.user_aborted_at IS NOT NULL OR r.outcome = 'lost'
      UNION ALL SELECT -1, NULL, NULL, NULL, NULL, NULL, NULL, ${now}`
    return lookOf(runs, rows)
  })

  const startRuns = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>, lease?: Lease) {
    const keys = keysParameter(runs.map(keyOf))
    const at = yield* currentTime
    if (lease !== undefined) yield* writeLease(lease, at)
    const known = new Set((yield* rowsOf(keys)).map(rowKey))
    if (known.size > 0 && lease !== undefined) {
      yield* sql`UPDATE agent_runs SET owner = ${lease.owner}
        WHERE outcome IS NULL AND sequence IN (SELECT r.sequence FROM json_each(${keys}) AS w
          CROSS JOIN agent_runs AS r INDEXED BY agent_runs_key
          ON r.company_id = w.value ->> 0 AND r.user_id = w.value ->> 1 AND r.chat_id = w.value ->> 2
            AND r.message_id = w.value ->> 3 AND r.run_id = w.value ->> 4)`
    }
    const fresh = distinct(runs.filter((one) => !known.has(keysParameter([keyOf(one)]))))
    if (fresh.length > 0) yield* insert(fresh, lease, at)
    return yield* Effect.flatMap(rowsOf(keys), recordsOf)
  })

  const insert = Effect.fnUntraced(function* (
    runs: ReadonlyArray<Run>,
    lease: Lease | undefined,
    at: number
  ) {
    const waiting = yield* stops.take(runs, at)
    const messages = runs.map(({ ref }) => targetKey({ _tag: "Message", ref }))
    // Of two runs of one message in one list the later is the current one.
    const last = new Map(messages.map((message, index) => [keysParameter([message]), index]))
    const current = new Set(last.values())
    yield* sql`UPDATE agent_runs SET current = 0
      WHERE current = 1 AND (company_id, user_id, chat_id, message_id) IN
        (SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, w.value ->> 3
         FROM json_each(${keysParameter(messages)}) AS w)`
    const rows = runs.map((one, index) => {
      const stop = waiting[index]
      return [
        ...keyOf(one),
        current.has(index) ? 1 : 0,
        stop?.user_aborted_at ?? null,
        stop?.stop_reason ?? null,
        stop?.stop_requested_by ?? null,
        stop?.stop_note ?? null
      ]
    })
    yield* sql`INSERT INTO agent_runs (company_id, user_id, chat_id, message_id, run_id, owner,
        started_at, current, user_aborted_at, stop_reason, stop_requested_by, stop_note)
      SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, w.value ->> 3, w.value ->> 4,
        ${lease?.owner}, ${at}, w.value ->> 5, w.value ->> 6, w.value ->> 7, w.value ->> 8, w.value ->> 9
      FROM json_each(${JSON.stringify(rows)}) AS w ORDER BY w.key`
  })

  const advanceRuns = Effect.fnUntraced(function* (changes: ReadonlyArray<RunChange>) {
    const at = yield* currentTime
    yield* sql`UPDATE agent_runs SET
        observed_at = CASE WHEN user_aborted_at IS NOT NULL AND w.value ->> 5
          THEN coalesce(observed_at, ${at}) ELSE observed_at END,
        outcome = w.value ->> 6,
        ended_at = CASE WHEN w.value ->> 6 IS NULL THEN NULL ELSE ${at} END
      FROM json_each(${JSON.stringify(stepsOf(changes))}) AS w
      WHERE company_id = w.value ->> 0 AND user_id = w.value ->> 1 AND chat_id = w.value ->> 2
        AND message_id = w.value ->> 3 AND run_id = w.value ->> 4 AND outcome IS NULL`
    const keys = keysParameter(changes.map((change) => keyOf(change.run)))
    return yield* Effect.flatMap(rowsOf(keys), recordsOf)
  })

  const findRuns = (query: RunQuery) => {
    const running = query.runningOnly === true ? sql.literal("outcome IS NULL") : sql.literal("1")
    if (query._tag === "Refs") {
      const keys = keysParameter(query.refs.map((ref) => targetKey({ _tag: "Message", ref })))
      return sql<Row>`SELECT * FROM agent_runs WHERE ${running}
        AND (company_id, user_id, chat_id, message_id) IN
          (SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, w.value ->> 3
           FROM json_each(${keys}) AS w)
        ORDER BY sequence`
    }
    return sql<Row>`SELECT * FROM agent_runs WHERE ${running} AND ${within(query)} ORDER BY sequence`
  }

  const within = (query: { companyId?: string; userId?: string; chatId?: string }) =>
    sql.and([
      sql`company_id = ${query.companyId ?? defaultTenant}`,
      ...(query.userId === undefined ? [] : [sql`user_id = ${query.userId}`]),
      ...(query.chatId === undefined ? [] : [sql`chat_id = ${query.chatId}`])
    ])

  const writeLease = ({ owner, ttl }: Lease, at: number) =>
    sql`INSERT INTO agent_leases VALUES (${owner}, ${at + Duration.toMillis(ttl)})
      ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at`

  const sweepLost = Effect.gen(function* () {
    const at = yield* currentTime
    const swept = yield* sql<Row>`UPDATE agent_runs SET outcome = 'lost', ended_at = ${at}
      WHERE outcome IS NULL AND owner IS NOT NULL AND owner NOT IN
        (SELECT owner FROM agent_leases WHERE expires_at > ${at})
      RETURNING *`
    yield* sql`DELETE FROM agent_leases WHERE expires_at <= ${at}`
    return yield* recordsOf(swept)
  })

  const forget = Effect.fnUntraced(function* (query: ForgetQuery) {
    const where = query._tag === "EndedBefore" ? sql`ended_at < ${query.time}` : within(query)
    if (query._tag !== "EndedBefore") yield* sql`DELETE FROM agent_tombstones WHERE ${where}`
    yield* sql`DELETE FROM agent_runs WHERE ${where}`
    const [row] = yield* sql<{ erased: number }>`SELECT changes() AS erased`
    return row?.erased ?? 0
  })

  return MessageStore.of({
    supports: { runs: true, stops: true, find: true, leases: true, erasure: true, hints: false },
    stopRequests: (runs) => run("stopRequests")(stopRequests(runs)),
    startRuns: (runs, lease) => transaction("startRuns")(startRuns(runs, lease)),
    requestStop: (target: StopTarget, intent: StopIntent) =>
      transaction("requestStop")(
        Effect.flatMap(currentTime, (at) => stops.request(target, intent, at))
      ),
    advanceRuns: (changes) => transaction("advanceRuns")(advanceRuns(changes)),
    findRuns: (query) => run("findRuns")(Effect.flatMap(findRuns(query), recordsOf)),
    renewLease: (lease) =>
      transaction("renewLease")(
        Effect.asVoid(Effect.flatMap(currentTime, (at) => writeLease(lease, at)))
      ),
    sweepLost: transaction("sweepLost")(sweepLost),
    forget: (query) => transaction("forget")(forget(query))
  })
})

/** The store on the `SqlClient` of the context, whose tables `migrations.ts` has made. */
export const layer = (options?: Options): Layer.Layer<MessageStore, never, SqlClient.SqlClient> =>
  Layer.effect(MessageStore, make(options))

const lookOf = (runs: ReadonlyArray<Run>, rows: ReadonlyArray<Row>): StopLook => {
  const requests: Array<StopLook["requests"][number]> = []
  const gone: Array<Run> = []
  const lost: Array<Run> = []
  const failures: Array<StopLook["failures"][number]> = []
  for (const row of rows) {
    const run = runs[Number(row["position"])]
    if (run === undefined) continue
    if (row["sequence"] === null) gone.push(run)
    else if (row["user_aborted_at"] === null) lost.push(run)
    else {
      const request = requestOf(row)
      if (Result.isSuccess(request)) requests.push({ run, request: request.success })
      else failures.push({ run, error: request.failure })
    }
  }
  return { requests, gone, lost, failures, now: Number(rows.at(-1)?.["now"]) }
}

// A list may name a run more than once: what counts is all up to its first outcome.
const stepsOf = (changes: ReadonlyArray<RunChange>) => {
  const steps = new Map<string, { run: Run; seen: boolean; outcome: string | null }>()
  for (const { run, to } of changes) {
    const key = keysParameter([keyOf(run)])
    const step = steps.get(key) ?? { run, seen: false, outcome: null }
    if (step.outcome !== null) continue
    steps.set(key, {
      run,
      seen: step.seen || to === "observed" || to === "stopped" || to === "abandoned",
      outcome: to === "observed" ? null : to
    })
  }
  return Array.from(steps.values(), ({ outcome, run, seen }) => [...keyOf(run), seen, outcome])
}

const distinct = (runs: ReadonlyArray<Run>): ReadonlyArray<Run> =>
  Array.from(new Map(runs.map((run) => [keysParameter([keyOf(run)]), run])).values())

const rowKey = (row: Row): string =>
  JSON.stringify([
    [row["company_id"], row["user_id"], row["chat_id"], row["message_id"], row["run_id"]]
  ])
