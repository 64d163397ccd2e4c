/**
 * Asking for a stop, and stops that wait for a run which has not begun (tombstones).
 */
import * as Effect from "effect/Effect"
import {
  receiptOf,
  type Run,
  runKey,
  type RunRecord,
  type StopIntent,
  StopReceipt,
  type StopTarget
} from "effect-cancellation"
import type { SqlClient } from "effect/sql"
import type { Dialect } from "./dialect.ts"
import type { Keys } from "./keys.ts"
import { tenantOf } from "./keys.ts"
import { recordsOf, requestOf, type Row } from "./rows.ts"
import type { RunTable } from "./runTable.ts"

export const makeStops = (options: {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly keys: Keys
  readonly runTable: RunTable
  /** In milliseconds. */
  readonly tombstoneTtl: number
}) => {
  const { dialect, keys, runTable, sql, tombstoneTtl } = options
  const tombstoneColumns = sql.literal(
    [
      "target_key",
      `${dialect.millis("user_aborted_at")} AS user_aborted_at`,
      "stop_reason, stop_requested_by, stop_note",
      `${dialect.millis("expires_at")} AS expires_at`
    ].join(", ")
  )

  const pending = Effect.fnUntraced(function* (target: StopTarget, intent: StopIntent) {
    const key = keys.target(target)
    const [company, user] = tenantOf(chatOf(target))
    yield* sql`DELETE FROM agent_tombstones
      WHERE target_key = ${key} AND expires_at <= ${dialect.now}`
    // One that waits already is answered as it stands, and written as it was so that it cannot go meanwhile.
    const rows = yield* sql<Row>`INSERT INTO agent_tombstones (target_key, company_id, user_id,
        chat_id, user_aborted_at, stop_reason, stop_requested_by, stop_note, expires_at)
      VALUES (${key}, ${company}, ${user}, ${chatOf(target).chatId}, ${dialect.now},
        ${intent.reason}, ${intent.requestedBy}, ${intent.note}, ${dialect.fromNow(tombstoneTtl)})
      ON CONFLICT (target_key) DO UPDATE SET expires_at = agent_tombstones.expires_at
      RETURNING ${tombstoneColumns}`
    return yield* Effect.forEach(rows, (row) =>
      Effect.map(Effect.fromResult(requestOf(row)), (request) =>
        StopReceipt.cases.Pending.make({ target, request, expiresAt: Number(row["expires_at"]) })
      )
    )
  })

  // In a chat in which nothing runs, the latest run that ended a moment ago answers for it.
  const aimedInChat = Effect.fnUntraced(function* (chat: Chat) {
    const [company, user] = tenantOf(chat)
    const isCurrent = sql`current = TRUE AND company_id = ${company} AND user_id = ${user}
      AND chat_id = ${chat.chatId}`
    const running = yield* runTable.aimed(sql`${isCurrent} AND outcome IS NULL`)
    if (running.length > 0) return running
    const ended = yield* runTable.found(
      sql`${isCurrent} AND ended_at > ${dialect.fromNow(-tombstoneTtl)}`
    )
    return ended.slice(-1)
  })

  const aim = (target: Exclude<StopTarget, Chat>) =>
    target._tag === "Run"
      ? sql`run_key = ${keys.run(target.run)}`
      : sql`message_key = ${keys.message(target.ref)} AND current = TRUE`

  /**
   * The usual case in one statement: a message's current run, or one run, that can be stopped. None
   * found means that there is more to say. A chat is never asked so: its runs must not change between
   * the first and the last that is stopped.
   */
  const requestAtOnce = (target: Exclude<StopTarget, Chat>, intent: StopIntent) =>
    Effect.map(
      Effect.flatMap(
        target._tag === "Run"
          ? runTable.stopRun(keys.run(target.run), intent)
          : runTable.stopCurrent(keys.message(target.ref), intent),
        recordsOf
      ),
      (records) => records.map(receiptNow)
    )

  /** A part of a transaction: records a stop where it belongs, and answers one receipt a run. */
  const request = Effect.fnUntraced(function* (target: StopTarget, intent: StopIntent) {
    yield* dialect.lockChats([keys.target({ _tag: "Chat", ...chatOf(target) })])
    const rows = yield* target._tag === "Chat" ? aimedInChat(target) : runTable.aimed(aim(target))
    if (rows.length === 0) return yield* pending(target, intent)
    const records = yield* recordsOf(rows)
    const open = records.filter(isOpen).map(({ run }) => keys.run(run))
    const stopped = open.length === 0 ? [] : yield* runTable.stopAll(open, intent)
    const now = new Map((yield* recordsOf(stopped)).map((record) => [runKey(record.run), record]))
    return records.map((record) => receiptNow(now.get(runKey(record.run)) ?? record))
  })

  /**
   * A part of a transaction: takes up the stops that wait for these runs; answers them in the runs'
   * order. All that match a run are taken, so that none is left for the next one; the first one asked
   * counts.
   */
  const take = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>) {
    const targets = runs.map(keys.targets)
    const rows = yield* sql<Row>`DELETE FROM agent_tombstones WHERE target_key IN
        (SELECT w.value ->> 0 FROM ${dialect.items(targets.flat().map((key) => [key]))})
      RETURNING ${tombstoneColumns}, expires_at > ${dialect.now} AS waits`
    const waiting = new Map(rows.map((row) => [row["target_key"], row]))
    return targets.map((candidates): Row | undefined => {
      const matching = candidates.flatMap((key): ReadonlyArray<Row> => {
        const row = waiting.get(key)
        waiting.delete(key)
        return row === undefined ? [] : [row]
      })
      return matching
        .filter(({ waits }) => waits === true || waits === 1)
        .toSorted(
          (one, other) => Number(one["user_aborted_at"]) - Number(other["user_aborted_at"])
        )[0]
    })
  })

  return { take, requestAtOnce, request }
}

type Chat = Extract<StopTarget, { readonly _tag: "Chat" }>

const chatOf = (target: StopTarget) => {
  if (target._tag === "Chat") return target
  return target._tag === "Run" ? target.run.ref : target.ref
}

const isOpen = ({ current, outcome, request }: RunRecord): boolean =>
  current && outcome === undefined && request === undefined

const receiptNow = (record: RunRecord): StopReceipt => {
  const { endedAt, outcome, request, run } = record
  return request === undefined && endedAt !== undefined && outcome !== undefined
    ? StopReceipt.cases.TooLate.make({ run, endedAt, outcome })
    : (receiptOf(record) ?? StopReceipt.cases.Superseded.make({ run }))
}
