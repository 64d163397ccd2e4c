/**
 * The statements on a table of the application's whose rows carry a flag.
 */
import { defaultTenant } from "effect-cancellation"
import type { SqlClient, Statement } from "effect/sql"
import type { Dialect } from "./dialect.ts"
import type { Catalog } from "./flagCatalog.ts"
import type { CheckedTable } from "./flagTable.ts"
import type { Row } from "./rows.ts"

type Fragment = Statement.Fragment

/** A message, or a chat: all of its messages. */
export interface Where {
  readonly companyId?: string
  readonly userId?: string
  readonly chatId: string
  readonly messageId?: string
}

/** The ids of a {@link Where} as texts, in the order of the table's columns. */
export type Ids = ReadonlyArray<string>

export type FlagStatements = ReturnType<typeof makeFlagStatements>

export const makeFlagStatements = (options: {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly catalog: Catalog
  readonly table: CheckedTable
  /** Where a stop is announced, on PostgreSQL; nowhere if there is none. */
  readonly channel: string | undefined
}) => {
  const { catalog, channel, dialect, sql, table } = options
  const { completedAt, userAbortedAt } = table

  // Always by its table: SQLite takes a quoted name that it does not know for a text.
  const column = (name: string) => sql`m.${sql(name)}`
  const bare = (name: string) => sql`${sql(name)}`
  const message = column(table.messageId)
  const flag = column(userAbortedAt.name)
  const isIncomplete =
    completedAt === undefined ? sql`1 = 1` : sql`${column(completedAt.name)} IS NULL`

  // By the column, for its index, and by the text: what a type calls equal need not be the same id.
  const match = (columns: CheckedTable["ids"], textOf: (index: number) => Fragment) =>
    sql.and(
      columns.flatMap(({ name, type }, index) => [
        sql`${column(name)} = ${type.value(textOf(index))}`,
        catalog.exactly(column(name), textOf(index))
      ])
    )
  // The message's id is the last of them.
  const matching = (ids: Ids) =>
    match(table.ids.slice(0, ids.length), (index) => sql`${ids[index]}`)

  const joined = catalog.join(
    table.from,
    sql`${message}, ${flag}`,
    match(table.ids, (index) => sql.literal(`(w.value ->> ${index})`))
  )

  // No other columns: the application may keep them from this program.
  const used = sql.csv(
    [
      table.messageId,
      userAbortedAt.name,
      ...(completedAt === undefined ? [] : [completedAt.name])
    ].map((name) => column(name))
  )

  const answered = (place: (name: string) => Fragment) =>
    sql`CAST(${place(table.messageId)} AS text) AS message_id,
      ${userAbortedAt.type.read(place(userAbortedAt.name))} AS user_aborted_at,
      ${
        completedAt === undefined
          ? sql.literal("NULL")
          : completedAt.type.read(place(completedAt.name))
      } AS completed_at`

  const text = (id: string) => sql`CAST(${id} AS text)`

  // An id that is longer than ids are may not fit, and nobody can watch its message.
  const announcement = (name: string, where: Where) => {
    const id = sql`CAST(${message} AS text)`
    return sql`CASE WHEN char_length(${id}) <= 255 THEN pg_notify(${name},
      CAST(json_build_array(${text(where.companyId ?? defaultTenant)},
        ${text(where.userId ?? defaultTenant)}, ${text(where.chatId)}, ${id}, ${id}) AS text)) END`
  }

  return {
    planned: dialect.planned,

    /**
     * The rows that have a stop and the messages that have no row, by their position in the list. The
     * last row tells the time, also when there is nothing else to tell.
     */
    look: (asked: ReadonlyArray<Ids>) =>
      sql<Row>`SELECT ${dialect.position} AS position, ${message} IS NULL AS gone,
          ${userAbortedAt.type.read(flag)} AS user_aborted_at, NULL AS now
        FROM ${dialect.items(asked)} ${joined}
        WHERE ${message} IS NULL OR ${flag} IS NOT NULL
        UNION ALL SELECT -1, NULL, NULL, ${dialect.nowMillis}`,

    /** Stores a stop where there can be one and is none, and announces it; answers those rows. */
    stop: (ids: Ids, where: Where) => {
      const update = sql`UPDATE ${table.from} AS m
        SET ${sql(userAbortedAt.name)} = ${userAbortedAt.type.now}
        WHERE ${matching(ids)} AND ${flag} IS NULL AND ${isIncomplete}`
      if (dialect.name === "sqlite") return sql<Row>`${update} RETURNING ${answered(bare)}`
      const announced = channel === undefined ? sql.literal("NULL") : announcement(channel, where)
      return sql<Row>`WITH m AS (${update} RETURNING ${used}) SELECT ${answered(column)}, ${announced} FROM m`
    },

    /** A message's row as it stands. */
    find: (ids: Ids) =>
      sql<Row>`SELECT ${answered(column)} FROM ${table.from} AS m WHERE ${matching(ids)}`,

    /** The rows of a chat that are stopped, and not complete. */
    stoppedIn: (ids: Ids) =>
      sql<Row>`SELECT ${answered(column)} FROM ${table.from} AS m
        WHERE ${matching(ids)} AND ${flag} IS NOT NULL AND ${isIncomplete} ORDER BY ${message}`
  }
}
