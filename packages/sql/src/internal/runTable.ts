/**
 * The statements on `agent_runs` that several operations share.
 */
import type { SqlClient, Statement } from "effect/sql"
import type { Dialect } from "./dialect.ts"
import { columnsOf, type Row } from "./rows.ts"

export type RunTable = ReturnType<typeof makeRunTable>

/** `channel` is where a stop is announced, on PostgreSQL; nowhere if there is none. */
export const makeRunTable = (
  sql: SqlClient.SqlClient,
  dialect: Dialect,
  channel: string | undefined
) => {
  const columns = sql.literal(columnsOf(dialect, "agent_runs"))
  const joinedColumns = sql.literal(columnsOf(dialect, "r"))

  // The place of the keys in an element of a list of runs.
  const sameRun = sql.literal("r.run_key = w.value ->> 0")
  const isItem = sql.literal("agent_runs.run_key = w.value ->> 0")

  // In the statement that stores the stop, so that it is sent if, and only if, the stop is stored.
  const announced = (update: Statement.Fragment) =>
    channel === undefined
      ? sql<Row>`${update} RETURNING ${columns}`
      : sql<Row>`WITH agent_runs AS (${update} RETURNING agent_runs.*)
        SELECT ${columns}, pg_notify(${channel},
          CAST(json_build_array(company_id, user_id, chat_id, message_id, run_id) AS text))
        FROM agent_runs`

  const stopping = (stop: Stop) => sql`UPDATE agent_runs SET user_aborted_at = ${dialect.clock},
    stop_reason = ${stop.reason}, stop_requested_by = ${stop.requestedBy}, stop_note = ${stop.note}`
  // Not `IS NULL`, which is the condition of an index: where few ran when the server last counted the
  // table's rows, it would take that index in place of a key's, and read all that run now.
  const isUnended = sql.literal("coalesce(agent_runs.outcome, '') = ''")
  const isOpen = sql`current = TRUE AND ${isUnended} AND user_aborted_at IS NULL`

  // Put together once and prepared: both would take longer than the way to the server and back. For
  // one row a plan by index is made for all but the smallest tables; one made for such a table is
  // kept until the server has looked at it again, and until then costs a few milliseconds.
  const stopOne = (key: Statement.Fragment) => {
    const [text] = announced(
      sql`${stopping({ reason: "" })} WHERE ${key} = ${""} AND ${isOpen}`
    ).compile()
    const announcement = channel === undefined ? [] : [channel]
    return (value: string, { note, reason, requestedBy }: Stop) =>
      sql.unsafe<Row>(text, [reason, requestedBy, note, value, ...announcement])
  }

  return {
    columns,
    sameRun,
    isItem,
    isUnended,

    /** Runs of a list, in its order. */
    inOrder: (list: Keys) =>
      dialect.planned(sql<Row>`SELECT ${joinedColumns} FROM ${dialect.items(list)}
        ${dialect.join} ${dialect.runs} ON ${sameRun} ORDER BY w.key`),

    /** Runs of a list, as they stand until the transaction ends. */
    locked: (list: Keys) =>
      dialect.planned(sql<Row>`SELECT ${joinedColumns} FROM ${dialect.items(list)}
        ${dialect.join} ${dialect.runs} ON ${sameRun} ORDER BY r.sequence ${dialect.lockingRuns}`),

    /** The same, with those that they would supersede. */
    lockedWithCurrent: (list: Keys) =>
      dialect.planned(sql<Row>`SELECT ${joinedColumns} FROM
        (SELECT w.value ->> 0 AS run_key FROM ${dialect.items(list)}
          UNION SELECT c.run_key FROM ${dialect.items(list)}
          ${dialect.join} agent_runs AS c ON c.message_key = w.value ->> 1 AND c.current = TRUE) AS k
        ${dialect.join} ${dialect.runs} ON r.run_key = k.run_key
        ORDER BY r.sequence ${dialect.lockingRuns}`),

    /** What a stop is aimed at, as it stands until the transaction ends. */
    aimed: (aim: Statement.Fragment) =>
      dialect.planned(sql<Row>`SELECT ${columns} FROM agent_runs WHERE ${aim}
        ORDER BY sequence ${dialect.locking}`),

    /** The same, for what does not change any more. */
    found: (aim: Statement.Fragment) =>
      dialect.planned(sql<Row>`SELECT ${columns} FROM agent_runs WHERE ${aim} ORDER BY sequence`),

    /** Stores a stop in one run, if it can still be stopped; answers the row then. */
    stopRun: stopOne(sql.literal("run_key")),

    /** Stores a stop in a message's current run, if it can still be stopped; answers the row then. */
    stopCurrent: stopOne(sql.literal("message_key")),

    /**
     * Stores a stop in all rows of these keys, which were found by `aimed` to be open in the same
     * transaction; answers the rows. To ask again whether they are open would lead a server that has
     * not counted the table's rows yet through all that run, once for each key.
     */
    stopAll: (keys: ReadonlyArray<string>, stop: Stop) =>
      dialect.planned(
        announced(sql`${stopping(stop)}
          FROM ${dialect.items(keys.map((key) => [key]))}
          WHERE ${isItem}`)
      )
  }
}

/** Of each run its own key and, where it is needed, its message's. */
type Keys = ReadonlyArray<ReadonlyArray<string>>

interface Stop {
  readonly reason: string
  readonly requestedBy?: string
  readonly note?: string
}
