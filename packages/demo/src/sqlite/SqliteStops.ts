/**
 * Asking for a stop on SQLite, and stops that wait for a run which has not begun (tombstones).
 *
 * Each function here is a part of a transaction and must run inside one.
 */
import * as Effect from "effect/Effect"
import {
  receiptOf,
  type RunRecord,
  type Run,
  type StopIntent,
  StopReceipt,
  StopRequest,
  type StopTarget
} from "effect-cancellation"
import type { SqlClient } from "effect/sql"
import { type Key, keyOf, keysParameter, recordsOf, requestOf, targetKey } from "./RunRow.ts"

/** The stored stop that a new run takes up, as columns. */
export interface WaitingStop {
  readonly user_aborted_at: number
  readonly stop_reason: string
  readonly stop_requested_by: string | null
  readonly stop_note: string | null
}

interface Tombstone extends WaitingStop {
  readonly company_id: string
  readonly user_id: string
  readonly chat_id: string
  readonly message_id: string
  readonly run_id: string
  readonly expires_at: number
}

export const makeStops = (sql: SqlClient.SqlClient, tombstoneTtl: number) => {
  const rowsOf = ([company, user, chat, message, run]: Key, now: number) => {
    if (run !== "") {
      return sql`SELECT * FROM agent_runs WHERE company_id = ${company} AND user_id = ${user}
        AND chat_id = ${chat} AND message_id = ${message} AND run_id = ${run}`
    }
    if (message !== "") {
      return sql`SELECT * FROM agent_runs WHERE current = 1 AND company_id = ${company}
        AND user_id = ${user} AND chat_id = ${chat} AND message_id = ${message}`
    }
    return sql`SELECT * FROM agent_runs WHERE current = 1 AND company_id = ${company}
      AND user_id = ${user} AND chat_id = ${chat}
      AND (outcome IS NULL OR ended_at > ${now - tombstoneTtl}) ORDER BY sequence`
  }

  const note = Effect.fnUntraced(function* (records: ReadonlyArray<RunRecord>, stop: StopRequest) {
    yield* sql`UPDATE agent_runs SET user_aborted_at = ${stop.userAbortedAt},
        stop_reason = ${stop.reason}, stop_requested_by = ${stop.requestedBy}, stop_note = ${stop.note}
      FROM json_each(${keysParameter(records.map(({ run }) => keyOf(run)))}) AS w
      WHERE company_id = w.value ->> 0 AND user_id = w.value ->> 1 AND chat_id = w.value ->> 2
        AND message_id = w.value ->> 3 AND run_id = w.value ->> 4`
  })

  const pending = Effect.fnUntraced(function* (target: StopTarget, stop: StopRequest) {
    const [company, user, chat, message, run] = targetKey(target)
    yield* sql`DELETE FROM agent_tombstones WHERE expires_at <= ${stop.userAbortedAt}`
    yield* sql`INSERT INTO agent_tombstones VALUES (${company}, ${user}, ${chat}, ${message}, ${run},
      ${stop.userAbortedAt}, ${stop.reason}, ${stop.requestedBy}, ${stop.note},
      ${stop.userAbortedAt + tombstoneTtl}) ON CONFLICT DO NOTHING`
    const [row] = yield* sql<Tombstone>`SELECT * FROM agent_tombstones
      WHERE company_id = ${company} AND user_id = ${user} AND chat_id = ${chat}
        AND message_id = ${message} AND run_id = ${run}`
    const request = row === undefined ? stop : yield* Effect.fromResult(requestOf({ ...row }))
    const expiresAt = row?.expires_at ?? stop.userAbortedAt + tombstoneTtl
    return [StopReceipt.cases.Pending.make({ target, request, expiresAt })]
  })

  /** Records a stop where it belongs and answers how it stands, one receipt a run. */
  const request = Effect.fnUntraced(function* (
    target: StopTarget,
    intent: StopIntent,
    now: number
  ) {
    const stop = StopRequest.make({ ...intent, userAbortedAt: now })
    const found = yield* Effect.flatMap(rowsOf(targetKey(target), now), recordsOf)
    const running = found.filter((record) => record.outcome === undefined)
    // In a chat in which nothing runs, the run that ended last answers for it.
    const aimed = target._tag === "Chat" && running.length === 0 ? found.slice(-1) : running
    const records = target._tag === "Chat" ? aimed : found
    if (records.length === 0) return yield* pending(target, stop)
    const open = records.filter((record) => statusOf(record) === "open")
    if (open.length > 0) yield* note(open, stop)
    return records.map((record): StopReceipt => {
      const { endedAt, outcome, run } = record
      if (statusOf(record) === "open") {
        return StopReceipt.cases.Requested.make({ run, request: stop })
      }
      if (record.request === undefined && endedAt !== undefined && outcome !== undefined) {
        return StopReceipt.cases.TooLate.make({ run, endedAt, outcome })
      }
      return receiptOf(record) ?? StopReceipt.cases.Superseded.make({ run })
    })
  })

  /**
   * Takes up the stops that wait for these runs; answers them in the runs' order. All that match a
   * run are taken, so that none is left for the next one; the first one asked counts.
   */
  const take = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>, now: number) {
    const chats = keysParameter(runs.map(({ ref }) => targetKey({ _tag: "Chat", ...ref })))
    const rows = yield* sql<Tombstone>`SELECT * FROM agent_tombstones
      WHERE (company_id, user_id, chat_id) IN
        (SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2 FROM json_each(${chats}) AS w)`
    if (rows.length === 0) return runs.map(() => undefined)
    const waiting = new Map(rows.map((row) => [tombstoneKey(row), row]))
    const used: Array<Tombstone> = []
    const taken = runs.map((run): WaitingStop | undefined => {
      const matching = candidates(run).flatMap((key) => waiting.get(keysParameter([key])) ?? [])
      for (const row of matching) waiting.delete(tombstoneKey(row))
      used.push(...matching)
      return matching
        .filter((row) => row.expires_at > now)
        .toSorted((one, other) => one.user_aborted_at - other.user_aborted_at)[0]
    })
    yield* Effect.forEach(
      used,
      (row) => sql`DELETE FROM agent_tombstones WHERE company_id = ${row.company_id}
        AND user_id = ${row.user_id} AND chat_id = ${row.chat_id}
        AND message_id = ${row.message_id} AND run_id = ${row.run_id}`,
      { discard: true }
    )
    return taken
  })

  return { request, take }
}

const statusOf = (record: RunRecord): "open" | "settled" =>
  record.current && record.outcome === undefined && record.request === undefined
    ? "open"
    : "settled"

const tombstoneKey = (row: Tombstone): string =>
  keysParameter([[row.company_id, row.user_id, row.chat_id, row.message_id, row.run_id]])

const candidates = (run: Run): ReadonlyArray<Key> => {
  const [company, user, chat, message, runId] = keyOf(run)
  return [
    [company, user, chat, message, runId],
    [company, user, chat, message, ""],
    [company, user, chat, "", ""]
  ]
}
