/**
 * What PostgreSQL and SQLite say differently; everything else is written once.
 *
 * PostgreSQL keeps `timestamptz` and `boolean`, SQLite milliseconds and 0 or 1. Times are cut to the
 * millisecond on both, so that what is read equals what was written.
 */
import * as Effect from "effect/Effect"
import { InvalidSetting } from "effect-cancellation"
import type { SqlClient, SqlError, Statement } from "effect/sql"

type Fragment = Statement.Fragment

export interface Dialect {
  readonly name: "pg" | "sqlite"
  /** The store's time when the statement began. */
  readonly now: Fragment
  /** {@link now} in milliseconds since 1970. */
  readonly nowMillis: Fragment
  /** The store's time when a row is written, after its lock was waited for. */
  readonly clock: Fragment
  /** A time column as milliseconds since 1970. */
  readonly millis: (column: string) => string
  /** 0 or 1 as a value for a column of truth. */
  readonly boolean: (value: Fragment) => Fragment
  /** Milliseconds since 1970 as a value for a time column. */
  readonly time: (millis: Fragment) => Fragment
  /** A time column's value so many milliseconds after (or, below zero, before) now. */
  readonly fromNow: (millis: number) => Fragment
  /** The elements of a list as rows `w` of `value` and `key`, in their order. */
  readonly items: (list: ReadonlyArray<unknown>) => Fragment
  /** The values of {@link items}, for a statement that was put together with another list. */
  readonly itemValues: (list: ReadonlyArray<unknown>) => ReadonlyArray<unknown>
  /** The place of a row of {@link items} in its list, from 0. */
  readonly position: Fragment
  /** `agent_runs AS r`, found by the index of its key. */
  readonly runs: Fragment
  /** Joins what is on its right to each row of {@link items}, in their order. */
  readonly join: Fragment
  /** Keeps the rows that a `SELECT` from `r` answers from changing until the transaction ends. */
  readonly lockingRuns: Fragment
  /** The same for a `SELECT` from one table. */
  readonly locking: Fragment
  /** {@link locking}, without the rows that another transaction has locked. */
  readonly lockingIdle: Fragment
  /**
   * A statement that is planned each time it runs. What was planned while the table was small would
   * stay, and read all of a table that has grown since.
   */
  readonly planned: <A>(
    statement: Statement.Statement<A>
  ) => Effect.Effect<ReadonlyArray<A>, SqlError.SqlError>
  /** Waits until no other transaction starts runs in these chats, or decides what a stop of them means. */
  readonly lockChats: (chats: ReadonlyArray<string>) => Effect.Effect<void, SqlError.SqlError>
}

/** Dies for a client of another database. */
export const dialectOf = (sql: SqlClient.SqlClient): Effect.Effect<Dialect> =>
  sql.onDialectOrElse({
    pg: () => Effect.succeed(postgres(sql)),
    sqlite: () => Effect.succeed(sqlite(sql)),
    orElse: () =>
      Effect.die(
        new InvalidSetting({
          option: "SqlClient",
          value: sql.driver,
          range: "a client of PostgreSQL or SQLite"
        })
      )
  })

const postgres = (sql: SqlClient.SqlClient): Dialect => {
  const millis = (column: string) =>
    `CAST(round(extract(epoch FROM ${column}) * 1000) AS double precision)`
  const now = sql.literal("date_trunc('milliseconds', statement_timestamp())")
  return {
    name: "pg",
    now,
    clock: sql.literal("date_trunc('milliseconds', clock_timestamp())"),
    nowMillis: sql.literal(millis("date_trunc('milliseconds', statement_timestamp())")),
    millis,
    boolean: (value) => sql`(${value} = '1')`,
    time: (millis) =>
      sql`(timestamptz 'epoch' + CAST(${millis} AS double precision) * interval '1 millisecond')`,
    fromNow: (millis) => sql`(${now} + ${millis} * interval '1 millisecond')`,
    // The limit tells the planner how many there are: else it takes every list for one of a hundred.
    items: (list) => {
      const [json, count] = itemsOf(list)
      return sql`(SELECT value, key FROM jsonb_array_elements(CAST(${json} AS jsonb))
        WITH ORDINALITY AS a (value, key) LIMIT CAST(${count} AS integer)) AS w`
    },
    itemValues: itemsOf,
    position: sql.literal("CAST(w.key AS integer) - 1"),
    runs: sql.literal("agent_runs AS r"),
    join: sql.literal("JOIN"),
    lockingRuns: sql.literal("FOR UPDATE OF r"),
    locking: sql.literal("FOR UPDATE"),
    lockingIdle: sql.literal("FOR UPDATE SKIP LOCKED"),
    planned: (statement) => statement.unprepared,
    // In one order for everybody, and at most as many as there are buckets: the server's table of
    // locks is shared by all and small.
    lockChats: (chats) => {
      const buckets = Array.from(new Set(chats.map(bucketOf))).toSorted((one, other) => one - other)
      return Effect.asVoid(
        sql`SELECT pg_advisory_xact_lock(${lockClass}, b)
          FROM unnest(CAST(${buckets} AS integer[])) AS b`
      )
    }
  }
}

const sqlite = (sql: SqlClient.SqlClient): Dialect => {
  const now = sql.literal("CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")
  const nothing = sql.literal("")
  return {
    name: "sqlite",
    now,
    nowMillis: now,
    clock: now,
    // The driver throws on an integer that no number can hold, and with it hides all other rows.
    millis: (column) => `CAST(${column} AS REAL)`,
    boolean: (value) => sql`(${value} = 1)`,
    time: (millis) => sql`CAST(${millis} AS INTEGER)`,
    fromNow: (millis) => sql`(${now} + ${millis})`,
    items: (list) => sql`json_each(${JSON.stringify(list)}) AS w`,
    itemValues: (list) => [JSON.stringify(list)],
    position: sql.literal("w.key"),
    runs: sql.literal("agent_runs AS r INDEXED BY agent_runs_key"),
    join: sql.literal("CROSS JOIN"),
    // Its transactions are alone from the beginning.
    lockingRuns: nothing,
    locking: nothing,
    lockingIdle: nothing,
    planned: (statement) => statement,
    lockChats: () => Effect.void
  }
}

const itemsOf = (list: ReadonlyArray<unknown>) => [JSON.stringify(list), list.length] as const

// "stop" in ASCII, so that the locks are told apart from an application's own.
const lockClass = 0x73746f70
const lockBuckets = 256

// FNV-1a: any hash serves that is the same in every process.
const bucketOf = (chat: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < chat.length; index++) {
    hash = Math.imul(hash ^ chat.charCodeAt(index), 0x01000193)
  }
  return (hash >>> 0) % lockBuckets
}
