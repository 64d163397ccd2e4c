/**
 * What PostgreSQL and SQLite say of an application's table, and how its types carry ids and times.
 */
import type { SqlClient, SqlError, Statement } from "effect/sql"
import type * as Effect from "effect/Effect"
import type { Dialect } from "./dialect.ts"

type Fragment = Statement.Fragment

/** A column as the database describes it. */
export interface CatalogColumn {
  readonly name: string
  /** Its type as a person knows it. */
  readonly type: string
  /** The type itself, or what its domain is made of. */
  readonly base: string
  /** That type as it is written in a cast. */
  readonly cast: string
  /** The most characters it takes, if there is a limit. */
  readonly limit: number | null
  readonly required: boolean | number
  readonly generated: boolean | number
}

/** How a column carries ids. */
export interface IdType {
  /** Whether this can be the text of a value of the column, as the database writes it. */
  readonly holds: (id: string) => boolean
  /** A text as a value of the column: so cast, its index finds it. */
  readonly value: (text: Fragment) => Fragment
}

/** How a column carries a time. */
export interface TimeType {
  /** Milliseconds since 1970, or the text of a time. */
  readonly read: (column: Fragment) => Fragment
  /** The store's time when a row is written. */
  readonly now: Fragment
}

/** Why a column cannot carry something: what follows "it". */
export type Refusal = string

export interface Catalog {
  /** The columns of a table; none if there is no such table. */
  readonly columns: (
    schema: string | undefined,
    table: string
  ) => Effect.Effect<ReadonlyArray<CatalogColumn>, SqlError.SqlError>
  readonly sameName: (one: string, other: string) => boolean
  readonly idType: (column: CatalogColumn) => IdType | Refusal
  readonly timeType: (column: CatalogColumn) => TimeType | Refusal
  /** Whether a column has exactly this text: case, blanks and leading zeros count, whatever its type says. */
  readonly exactly: (column: Fragment, text: Fragment) => Fragment
  /** Joins to each row `w` the rows `m` of the table that match, found by an index. */
  readonly join: (table: Fragment, columns: Fragment, match: Fragment) => Fragment
}

export const catalogOf = (sql: SqlClient.SqlClient, dialect: Dialect): Catalog =>
  dialect.name === "pg" ? postgres(sql, dialect) : sqlite(sql, dialect)

const isBoolean =
  "is a boolean, and a stop needs its time: add a column for a time, and set it where the boolean is set"

const anything = () => true

/** What a time is written as in a column of text: `2026-01-31T12:00:00.000Z`. */
const isoLength = 24

const postgres = (sql: SqlClient.SqlClient, dialect: Dialect): Catalog => {
  const integer = (bits: bigint) => {
    const limit = 2n ** (bits - 1n)
    return (id: string) =>
      /^(0|-?[1-9]\d{0,18})$/.test(id) && BigInt(id) >= -limit && BigInt(id) < limit
  }
  const holds: Readonly<Record<string, IdType["holds"]>> = {
    text: anything,
    varchar: anything,
    bpchar: anything,
    citext: anything,
    uuid: (id) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id),
    int2: integer(16n),
    int4: integer(32n),
    int8: integer(64n)
  }
  const millis = (column: Fragment) =>
    sql`CAST(round(extract(epoch FROM ${column}) * 1000) AS double precision)`
  const utc = sql`(${dialect.clock} AT TIME ZONE 'UTC')`
  const text: TimeType = {
    // Longer than any time, and short enough if it is none.
    read: (column) => sql`left(CAST(${column} AS text), 64)`,
    now: sql`to_char(${utc}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
  }
  const times: Readonly<Record<string, TimeType | Refusal>> = {
    timestamptz: { read: millis, now: dialect.clock },
    timestamp: { read: millis, now: utc },
    int8: {
      read: (column) => sql`CAST(${column} AS double precision)`,
      now: sql`CAST(extract(epoch FROM ${dialect.clock}) * 1000 AS bigint)`
    },
    int4: "is an integer, too small for milliseconds: make it bigint",
    int2: "is a smallint, too small for milliseconds: make it bigint",
    bool: isBoolean,
    date: "is a date, which has no time of day",
    text,
    varchar: text
  }
  return {
    columns: (schema, table) => sql<CatalogColumn>`
      SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
        COALESCE(b.typname, t.typname) AS base,
        format_type(COALESCE(b.oid, t.oid), -1) AS cast,
        CASE WHEN COALESCE(b.typname, t.typname) IN ('varchar', 'bpchar')
          THEN NULLIF(GREATEST(a.atttypmod, t.typtypmod), -1) - 4 END AS limit,
        a.attnotnull OR t.typnotnull AS required, a.attgenerated <> '' AS generated
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      LEFT JOIN pg_catalog.pg_type AS b ON b.oid = NULLIF(t.typbasetype, 0)
      WHERE c.relname = CAST(${table} AS text) AND c.relkind IN ('r', 'p', 'v', 'f')
        AND ${
          schema === undefined
            ? sql`pg_catalog.pg_table_is_visible(c.oid)`
            : sql`n.nspname = CAST(${schema} AS text)`
        }
        AND a.attnum > 0 AND NOT a.attisdropped
      ORDER BY a.attnum`,
    sameName: (one, other) => one === other,
    idType: ({ base, cast, type }) => {
      const isHeld = holds[base]
      if (isHeld === undefined) return `is ${type}, and an id is text, uuid or an integer`
      // Without its length, to which a longer id would be cut.
      const written = sql.literal(cast)
      return { holds: isHeld, value: (id) => sql`CAST(${id} AS ${written})` }
    },
    timeType: ({ base, limit, type }) =>
      limit !== null && limit < isoLength
        ? `is ${type}, too short for ${isoLength} characters of a time`
        : (times[base] ??
          `is ${type}, and a time is timestamptz, timestamp, bigint (milliseconds) or text`),
    exactly: (column, id) => sql`CAST(${column} AS text) COLLATE "C" = CAST(${id} AS text)`,
    // The offset keeps the planner from reading the whole table for a list of many.
    join: (table, columns, match) =>
      sql`LEFT JOIN LATERAL (SELECT ${columns} FROM ${table} AS m WHERE ${match} OFFSET 0) AS m ON TRUE`
  }
}

const sqlite = (sql: SqlClient.SqlClient, dialect: Dialect): Catalog => {
  // Any column may hold any value, and the driver throws on an integer that no number can hold.
  const read = (column: Fragment) => sql`CASE typeof(${column})
    WHEN 'null' THEN NULL WHEN 'real' THEN ${column} WHEN 'integer' THEN CAST(${column} AS REAL)
    ELSE substr(CAST(${column} AS TEXT), 1, 64) END`
  const millis: TimeType = { read, now: dialect.clock }
  const text: TimeType = { read, now: sql`strftime('%Y-%m-%dT%H:%M:%fZ', 'now')` }
  return {
    columns: (schema, table) => sql<CatalogColumn>`
      SELECT c.name, c.type, upper(c.type) AS base, '' AS "cast", NULL AS "limit",
        c."notnull" AS required, c.hidden > 1 AS generated
      FROM ${
        schema === undefined
          ? sql`pragma_table_xinfo(${table}) AS c`
          : sql`pragma_database_list AS d, pragma_table_xinfo(${table}, d.name) AS c
              WHERE lower(d.name) = lower(${schema})`
      }`,
    sameName: (one, other) => lower(one) === lower(other),
    idType: ({ base, type }) =>
      /BLOB|BOOL|REAL|FLOA|DOUB/.test(base)
        ? `is ${type}, and an id is text or an integer`
        : { holds: anything, value: (id) => id },
    timeType: ({ base, type }) => {
      if (base.includes("BOOL")) return isBoolean
      if (base.includes("BLOB")) return `is ${type}, and a time is an integer, a real or text`
      // What SQLite's own functions of dates read and write is text.
      return /CHAR|CLOB|TEXT|DATE|TIME/.test(base) ? text : millis
    },
    exactly: (column, id) => sql`CAST(${column} AS TEXT) COLLATE BINARY = ${id}`,
    join: (table, _columns, match) => sql`LEFT JOIN ${table} AS m ON ${match}`
  }
}

// As SQLite compares names: of other alphabets, capitals are other letters.
const lower = (name: string) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
