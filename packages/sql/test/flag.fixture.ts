/** Applications whose messages carry a flag, in tables of their own making. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
import { MessageRef, MessageStore, Run, RunId, StopIntent, StopTarget } from "effect-cancellation"
import { SqlMessageStore } from "../src/index.ts"
import * as Postgres from "./support/Postgres.ts"
import { newFile } from "./SqliteFile.ts"

export interface Shape {
  readonly schema?: string
  readonly table: string
  /** The types of the ids, and of the times. */
  readonly id: string
  readonly time: string
  readonly columns: SqlMessageStore.FlagTable["columns"]
  /** A statement that is needed first. */
  readonly before?: string
  /** 1 January 2026, as it is written into a column of time. */
  readonly sample: string
}

export const columns = {
  chatId: "chat_id",
  messageId: "message_id",
  userAbortedAt: "user_aborted_at",
  completedAt: "completed_at",
  companyId: "company_id",
  userId: "user_id"
} as const

/** Names that mean something to a careless program. */
export const hostileColumns = {
  chatId: "chat id; DROP TABLE messages",
  messageId: `"message"`,
  userAbortedAt: "User aborted at",
  completedAt: "completed%s?",
  companyId: "Fïrma \u{1F4A5} $1",
  userId: "user'id -- "
} as const

/** A client of a new and empty database. */
export const databases = {
  PostgreSQL: Postgres.layer(),
  SQLite: newFile
} as const

export type DatabaseName = keyof typeof databases

/** 1 January 2026, in milliseconds and in the types of columns. */
export const newYear = Date.UTC(2026, 0, 1)
const iso = "'2026-01-01T00:00:00.000Z'"

/** What a database's columns of time are, and how 1 January 2026 is written in them. */
export const times: Readonly<Record<DatabaseName, Readonly<Record<string, string>>>> = {
  PostgreSQL: {
    timestamptz: iso,
    "timestamp(3)": "'2026-01-01T00:00:00'",
    bigint: String(newYear),
    text: iso,
    "varchar(24)": iso
  },
  SQLite: {
    INTEGER: String(newYear),
    TEXT: iso,
    REAL: String(newYear),
    DATETIME: "'2026-01-01 00:00:00'",
    BIGINT: String(newYear)
  }
}

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

export const tableOf = ({ schema, table }: Shape): string =>
  schema === undefined ? quote(table) : `${quote(schema)}.${quote(table)}`

/** Makes the application's table. */
export const makeTable = Effect.fnUntraced(function* (shape: Shape) {
  const sql = yield* SqlClient.SqlClient
  const { completedAt, userAbortedAt, ...ids } = shape.columns
  if (shape.before !== undefined) yield* sql.unsafe(shape.before)
  if (shape.schema !== undefined && shape.schema !== "main") {
    yield* sql.unsafe(`CREATE SCHEMA ${quote(shape.schema)}`)
  }
  const definitions = [
    ...Object.values(ids).map((name) => `${quote(name ?? "")} ${shape.id} NOT NULL`),
    ...[userAbortedAt, completedAt].flatMap((name) =>
      name === undefined ? [] : [`${quote(name)} ${shape.time}`]
    ),
    "body text"
  ]
  yield* sql.unsafe(
    `CREATE TABLE ${tableOf(shape)} (${definitions.join(", ")},
      PRIMARY KEY (${quote(ids.messageId)}, ${quote(ids.chatId)}))`
  )
})

/** Writes a message of the application's. */
export const insert = Effect.fnUntraced(function* (
  shape: Shape,
  ref: MessageRef,
  values: { readonly userAbortedAt?: string; readonly completedAt?: string } = {}
) {
  const sql = yield* SqlClient.SqlClient
  const all = { companyId: "default", userId: "default", ...ref, ...values }
  const given = Object.entries(shape.columns).flatMap(([role, name]) => {
    const value = Object.entries(all).find(([other]) => other === role)?.[1]
    if (name === undefined || value === undefined) return []
    const isTime = role === "userAbortedAt" || role === "completedAt"
    return [[quote(name), isTime ? value : `'${value}'`]]
  })
  yield* sql.unsafe(
    `INSERT INTO ${tableOf(shape)} (${given.map(([name]) => name).join(", ")})
      VALUES (${given.map(([, value]) => value).join(", ")})`
  )
})

/** The store on the application's table. */
export const storeOf = (shape: Shape, notify?: string | false) =>
  SqlMessageStore.layerWith({
    schema: shape.schema,
    table: shape.table,
    columns: shape.columns,
    notify
  })

/** A new database with the application's table, and the store on it. */
export const application = (database: DatabaseName, shape: Shape) =>
  storeOf(shape).pipe(
    Layer.provideMerge(
      Layer.effectDiscard(makeTable(shape)).pipe(
        Layer.provideMerge(Layer.fresh(databases[database]))
      )
    )
  )

export const shapeOf = (database: DatabaseName, given: Partial<Shape> = {}): Shape => {
  const time = given.time ?? (database === "PostgreSQL" ? "timestamptz" : "INTEGER")
  return {
    table: "messages",
    id: "text",
    columns,
    sample: times[database][time] ?? "NULL",
    ...given,
    time
  }
}

export const refOf = (
  messageId: string,
  rest: { readonly companyId?: string; readonly userId?: string; readonly chatId?: string } = {}
) => MessageRef.of({ chatId: "chat", messageId, ...rest })

export const runOf = (ref: MessageRef, runId = "run") => Run.make({ ref, runId: RunId.make(runId) })

export const byUser = StopIntent.make({ reason: "user" })

export const lookAt = (...refs: ReadonlyArray<MessageRef>) =>
  MessageStore.use((store) => store.stopRequests(refs.map((ref) => runOf(ref))))

export const stopOf = (ref: MessageRef, intent = byUser) =>
  MessageStore.use((store) => store.requestStop(StopTarget.cases.Message.make({ ref }), intent))

/** Why something failed. */
export const reasonOf = <A, R>(
  effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>
) => Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

export const rowsOf = Effect.fnUntraced(function* (shape: Shape) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.unsafe(`SELECT * FROM ${tableOf(shape)} ORDER BY 1, 2, 3, 4`)
})

export const flagOf = Effect.fnUntraced(function* (shape: Shape, ref: MessageRef) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql.unsafe<{ readonly flag: string | null }>(
    `SELECT CAST(${quote(shape.columns.userAbortedAt)} AS text) AS flag FROM ${tableOf(shape)}
      WHERE ${quote(shape.columns.messageId)} = '${ref.messageId}'`
  )
  return row?.flag
})

export const setFlag = Effect.fnUntraced(function* (shape: Shape, ref: MessageRef, value: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(
    `UPDATE ${tableOf(shape)} SET ${quote(shape.columns.userAbortedAt)} = ${value}
      WHERE ${quote(shape.columns.messageId)} = '${ref.messageId}'`
  )
})

let tables = 0

/** A test on a table of its own. */
export const within = <A, E, R>(shape: Shape, body: (shape: Shape) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const own = { ...shape, table: `${shape.table} ${++tables}` }
    return Effect.andThen(makeTable(own), Effect.provide(body(own), storeOf(own)))
  })
