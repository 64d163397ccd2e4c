/**
 * Starting runs and moving them forward. Each function here is a part of a transaction.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Lease, type Run, type RunChange, runKey } from "effect-cancellation"
import type { SqlClient } from "effect/sql"
import type { Dialect } from "./dialect.ts"
import { type Keys, tenantOf } from "./keys.ts"
import { recordsOf, type Row } from "./rows.ts"
import type { RunTable } from "./runTable.ts"
import type { makeStops } from "./stops.ts"

export const makeRuns = (options: {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly keys: Keys
  readonly runTable: RunTable
  readonly stops: ReturnType<typeof makeStops>
}) => {
  const { dialect, keys, runTable, sql, stops } = options

  const renewLease = ({ owner, ttl }: Lease) =>
    Effect.asVoid(sql`INSERT INTO agent_leases (owner, expires_at)
      VALUES (${owner}, ${dialect.fromNow(Duration.toMillis(ttl))})
      ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at`)

  // Each run by its own key and its message's.
  const listOf = (runs: ReadonlyArray<Run>) =>
    runs.map((run) => [keys.run(run), keys.message(run.ref)])

  const insert = Effect.fnUntraced(function* (fresh: ReadonlyArray<Run>, lease: Lease | undefined) {
    const waiting = yield* stops.take(fresh)
    yield* dialect.planned(sql`UPDATE agent_runs SET current = FALSE FROM ${dialect.items(listOf(fresh))}
      WHERE agent_runs.message_key = w.value ->> 1 AND agent_runs.current = TRUE`)
    // Of two runs of one message in one list the later is the current one.
    const last = new Set(
      new Map(fresh.map(({ ref }, index) => [keys.message(ref), index])).values()
    )
    const rows = fresh.map((run, index) => {
      const stop = waiting[index]
      return [
        keys.run(run),
        keys.message(run.ref),
        ...tenantOf(run.ref),
        run.ref.chatId,
        run.ref.messageId,
        run.runId,
        last.has(index) ? 1 : 0,
        stop?.["user_aborted_at"],
        stop?.["stop_reason"],
        stop?.["stop_requested_by"],
        stop?.["stop_note"]
      ]
    })
    yield* sql`INSERT INTO agent_runs (run_key, message_key, company_id, user_id, chat_id,
        message_id, run_id, owner, started_at, current, user_aborted_at, stop_reason,
        stop_requested_by, stop_note)
      SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, w.value ->> 3, w.value ->> 4,
        w.value ->> 5, w.value ->> 6, ${lease?.owner}, ${dialect.now},
        ${dialect.boolean(sql.literal("w.value ->> 7"))},
        ${dialect.time(sql.literal("w.value ->> 8"))}, w.value ->> 9, w.value ->> 10, w.value ->> 11
      FROM ${dialect.items(rows)} ORDER BY w.key`
  })

  const start = Effect.fnUntraced(function* (runs: ReadonlyArray<Run>, lease?: Lease) {
    const list = listOf(runs)
    if (lease !== undefined) yield* renewLease(lease)
    yield* dialect.lockChats(runs.map(({ ref }) => keys.target({ _tag: "Chat", ...ref })))
    const known = new Set((yield* runTable.lockedWithCurrent(list)).map((row) => row["run_key"]))
    const isKnown = (run: Run) => known.has(keys.run(run))
    if (lease !== undefined && runs.some(isKnown)) {
      yield* dialect.planned(sql`UPDATE agent_runs SET owner = ${lease.owner} FROM ${dialect.items(list)}
        WHERE ${runTable.isItem} AND ${runTable.isUnended}`)
    }
    const fresh = distinct(runs.filter((run) => !isKnown(run)))
    if (fresh.length > 0) yield* insert(fresh, lease)
    return yield* Effect.flatMap(runTable.inOrder(list), recordsOf)
  })

  // A run's key, whether it saw its stop, and how it ended if it did. A list may name a run more than
  // once: what counts is all up to its first outcome.
  const stepsOf = (changes: ReadonlyArray<RunChange>) => {
    const steps = new Map<string, readonly [key: string, seen: 0 | 1, outcome: string | null]>()
    for (const { run, to } of changes) {
      const key = keys.run(run)
      const [, seen, outcome] = steps.get(key) ?? [key, 0, null]
      if (outcome !== null) continue
      const sees = to === "observed" || to === "stopped" || to === "abandoned"
      steps.set(key, [key, sees ? 1 : seen, to === "observed" ? null : to])
    }
    return Array.from(steps.values())
  }

  const locked = (changes: ReadonlyArray<RunChange>) =>
    runTable.locked(changes.map(({ run }) => [keys.run(run)]))

  /**
   * Moves runs forward; fails with `RunsAbsent` if not all are there. One may be on its way, in a
   * transaction that nothing here waits for.
   */
  const advance = Effect.fnUntraced(function* (changes: ReadonlyArray<RunChange>) {
    const rows = yield* locked(changes)
    return rows.length < changes.length
      ? yield* new RunsAbsent()
      : yield* advanceLocked(changes, rows)
  })

  /** The same for what there is of them: the starts of their chats first, and only then the rows, as `start` does. */
  const advanceBehindStarts = Effect.fnUntraced(function* (changes: ReadonlyArray<RunChange>) {
    yield* dialect.lockChats(changes.map(({ run }) => keys.target({ _tag: "Chat", ...run.ref })))
    return yield* advanceLocked(changes, yield* locked(changes))
  })

  const advanceLocked = Effect.fnUntraced(function* (
    changes: ReadonlyArray<RunChange>,
    rows: ReadonlyArray<Row>
  ) {
    const before = byKey(rows)
    // Chosen here, where the locks hold them. A statement that asks for those without an outcome leads
    // a server that has not counted the table's rows yet through all that run.
    const open = changes.filter(({ run }) => before.get(keys.run(run))?.["outcome"] === null)
    const sees = dialect.boolean(sql.literal("w.value ->> 1"))
    const advanced: ReadonlyArray<Row> =
      open.length === 0
        ? []
        : yield* dialect.planned(sql<Row>`UPDATE agent_runs SET
          observed_at = CASE WHEN agent_runs.user_aborted_at IS NOT NULL AND ${sees}
            THEN coalesce(agent_runs.observed_at, ${dialect.now}) ELSE agent_runs.observed_at END,
          outcome = w.value ->> 2,
          ended_at = CASE WHEN w.value ->> 2 IS NULL THEN NULL ELSE ${dialect.now} END
        FROM ${dialect.items(stepsOf(open))} WHERE ${runTable.isItem} RETURNING ${runTable.columns}`)
    const after = byKey(advanced)
    const stand = changes.flatMap(({ run }): ReadonlyArray<Row> => {
      const row = after.get(keys.run(run)) ?? before.get(keys.run(run))
      return row === undefined ? [] : [row]
    })
    return yield* recordsOf(stand)
  })

  /** The leases first, as `start` does: two that take the same locks in two orders wait for ever. */
  const sweepLost = Effect.gen(function* () {
    yield* sql`DELETE FROM agent_leases WHERE owner IN (SELECT owner FROM agent_leases
      WHERE expires_at <= ${dialect.now} ORDER BY owner ${dialect.locking})`
    const isOrphan = sql`outcome IS NULL AND owner IS NOT NULL
      AND owner NOT IN (SELECT owner FROM agent_leases WHERE expires_at > ${dialect.now})`
    const orphans =
      yield* dialect.planned(sql<Row>`SELECT ${runTable.columns} FROM agent_runs WHERE ${isOrphan}
      ORDER BY sequence ${dialect.locking}`)
    // But for those that somebody is busy with, who takes them away himself.
    yield* sql`DELETE FROM agent_tombstones WHERE target_key IN (SELECT target_key
      FROM agent_tombstones WHERE expires_at <= ${dialect.now} ${dialect.lockingIdle})`
    if (orphans.length === 0) return []
    // Once more, now that nobody can take them up: one may have been, while its lock was waited for.
    const lost =
      yield* dialect.planned(sql<Row>`UPDATE agent_runs SET outcome = 'lost', ended_at = ${dialect.now}
      FROM ${dialect.items(orphans.map((row) => [row["run_key"]]))}
      WHERE ${runTable.isItem} AND ${isOrphan} RETURNING ${runTable.columns}`)
    return yield* recordsOf(lost)
  })

  return { renewLease, start, advance, advanceBehindStarts, sweepLost }
}

class RunsAbsent extends Data.TaggedError("RunsAbsent")<{}> {}

const byKey = (rows: ReadonlyArray<Row>): ReadonlyMap<unknown, Row> =>
  new Map(rows.map((row) => [row["run_key"], row]))

const distinct = (runs: ReadonlyArray<Run>): ReadonlyArray<Run> =>
  Array.from(new Map(runs.map((run) => [runKey(run), run])).values())
