/**
 * A table of the application's, looked at when the layer is built.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import type { Catalog, CatalogColumn, IdType, Refusal, TimeType } from "./flagCatalog.ts"
import type { Transactions } from "./transactions.ts"

/**
 * Where an application keeps the flag of its messages. Names are as the database has them, and need
 * no quotes.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlagTable {
  /**
   * The schema of the table; of SQLite, the name of an attached database. Default: the table is found
   * as in a statement that names no schema.
   */
  readonly schema?: string | undefined
  /** The table, or a view that can be updated. */
  readonly table: string
  /** Which of its columns are which. */
  readonly columns: {
    /** Text, `uuid` or an integer. */
    readonly chatId: string
    /** Text, `uuid` or an integer. */
    readonly messageId: string
    /**
     * When the person pressed Stop, else NULL. PostgreSQL: `timestamptz`, `timestamp` (in UTC),
     * `bigint` (milliseconds since 1970) or text (ISO 8601). SQLite: an integer or real (milliseconds
     * since 1970), or text (ISO 8601).
     */
    readonly userAbortedAt: string
    /** When the message was complete, else NULL; of the same types. Without it no chat can be stopped. */
    readonly completedAt?: string | undefined
    /** Without it all rows are of the company `default`. */
    readonly companyId?: string | undefined
    /** Without it all rows are of the user `default`. */
    readonly userId?: string | undefined
  }
}

/**
 * A table cannot be used as it was named: a mistake in the names, or a table that is not as it was
 * thought to be.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnfitTable extends Schema.TaggedError<UnfitTable>(
  "effect-cancellation-sql/UnfitTable"
)("UnfitTable", {
  /** The table, quoted. */
  table: Schema.String,
  /** Everything that is wrong, each as a sentence. */
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The table ${this.table} cannot keep stops. ${this.problems.join(" ")}`
  }
}

/** What a column of ids is for. */
type IdRole = "companyId" | "userId" | "chatId" | "messageId"

/** A column of a table that was looked at. */
export interface FlagColumn<Type> {
  readonly name: string
  readonly type: Type
}

/** A table that was looked at, and is as it must be. */
export interface CheckedTable {
  /** For a person to read. */
  readonly shown: string
  /** For a statement. */
  readonly from: Statement.Fragment
  readonly ids: ReadonlyArray<FlagColumn<IdType> & { readonly role: IdRole }>
  readonly messageId: string
  readonly userAbortedAt: FlagColumn<TimeType>
  readonly completedAt: FlagColumn<TimeType> | undefined
}

const idRoles: ReadonlyArray<IdRole> = ["companyId", "userId", "chatId", "messageId"]

/** Looks at a table and its columns; says everything that is wrong at once. */
export const checkTable = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  catalog: Catalog,
  read: Transactions["read"],
  given: FlagTable
): Effect.fn.Return<CheckedTable, UnfitTable | SqlError.SqlError> {
  const { columns, schema, table } = given
  const shown = schema === undefined ? show(table) : `${show(schema)}.${show(table)}`
  const problems: Array<string> = []
  const refuse = () => new UnfitTable({ table: shown, problems })

  problems.push(...nameProblems("table", table))
  if (schema !== undefined) problems.push(...nameProblems("schema", schema))
  for (const [role, name] of Object.entries(columns)) {
    if (name !== undefined) problems.push(...nameProblems(role, name))
  }
  // Nothing is sent to the database by a name that is none.
  if (problems.length > 0) return yield* refuse()

  const present = yield* read(catalog.columns(schema, table))
  if (present.length === 0) {
    problems.push(
      schema === undefined
        ? "There is no such table; one of another schema needs `schema`."
        : "There is no such table in this schema."
    )
    return yield* refuse()
  }
  const missing: Array<string> = []
  const taken = new Map<string, string>()

  const find = <Type extends object>(
    role: string,
    name: string,
    typeOf: (column: CatalogColumn) => Type | Refusal
  ): FlagColumn<Type> | undefined => {
    const column = present.find((one) => catalog.sameName(one.name, name))
    if (column === undefined) {
      missing.push(`${show(name)} (${role})`)
      return undefined
    }
    const other = taken.get(column.name)
    taken.set(column.name, role)
    if (other !== undefined) problems.push(`The column ${show(name)} is both ${other} and ${role}.`)
    const type = typeOf(column)
    if (typeof type !== "string") return { name: column.name, type }
    problems.push(`The column ${show(name)} (${role}) ${type}.`)
    return undefined
  }

  const ids = idRoles.flatMap((role) => {
    const name = columns[role]
    const column = name === undefined ? undefined : find(role, name, catalog.idType)
    return column === undefined ? [] : [{ ...column, role }]
  })
  const userAbortedAt = find("userAbortedAt", columns.userAbortedAt, (column) => {
    if (isTrue(column.required)) return "takes no NULL, so that all messages would be stopped"
    if (isTrue(column.generated)) return "is generated, so that no stop can be written"
    return catalog.timeType(column)
  })
  const completedAt =
    columns.completedAt === undefined
      ? undefined
      : find("completedAt", columns.completedAt, (column) =>
          isTrue(column.required)
            ? "takes no NULL, so that all messages would be complete"
            : catalog.timeType(column)
        )
  if (missing.length > 0) {
    problems.unshift(
      `It has no column ${missing.join(", and no column ")}; its columns are ${present.map(({ name }) => show(name)).join(", ")}.`
    )
  }
  if (problems.length > 0 || userAbortedAt === undefined) return yield* refuse()
  return {
    shown,
    from: schema === undefined ? sql`${sql(table)}` : sql`${sql(schema)}.${sql(table)}`,
    ids,
    messageId: ids.find(({ role }) => role === "messageId")?.name ?? columns.messageId,
    userAbortedAt,
    completedAt
  }
})

// SQLite knows no truth but 1.
const isTrue = (value: boolean | number): boolean => value === true || value === 1

const show = (name: string): string => JSON.stringify(name)

const nameProblems = (role: string, name: string): ReadonlyArray<string> => {
  const problem = nameProblem(name)
  return problem === undefined ? [] : [`${show(name)} (${role}) ${problem}.`]
}

const nameProblem = (name: string): string | undefined => {
  if (name === "") return "is no name"
  if (/[\0\p{Cs}]/u.test(name)) return "holds a character that no name can hold"
  // The client quotes "a.b" as b of a.
  if (name.includes(".")) return "holds a dot; give the schema of a table as `schema`"
  return undefined
}
