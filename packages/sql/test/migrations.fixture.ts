/** What is in a database, whatever put it there. */
import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"

/** The names of its tables. */
export const tablesOf = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql.onDialectOrElse({
    pg: () => sql`SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()`,
    orElse: () => sql`SELECT name FROM sqlite_schema WHERE type = 'table'`
  })
  return rows.map((row) => String(row["name"])).toSorted()
})

/** Everything that can be said of its tables, their columns and their indexes. */
export const schemaOf = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.onDialectOrElse({
    pg: () =>
      Effect.all([
        sql`SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default,
            is_identity, identity_generation, collation_name
          FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 3`,
        sql`SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1`,
        sql`SELECT conrelid :: regclass :: text AS relation, conname, pg_get_constraintdef(oid) AS is
          FROM pg_constraint WHERE connamespace = current_schema() :: regnamespace ORDER BY 1, 2`
      ]),
    orElse: () =>
      Effect.all([sql`SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name`])
  })
})

/** The statements of a file of which none has a semicolon within. */
export const statementsOf = (text: string): ReadonlyArray<string> =>
  text
    .replaceAll(/^--.*$/gm, "")
    .split(";")
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "")

/** Runs a file as `psql` would, on a client of one connection. */
export const runFile = Effect.fnUntraced(function* (file: string) {
  const sql = yield* SqlClient.SqlClient
  for (const statement of statementsOf(readFileSync(file, "utf8"))) yield* sql.unsafe(statement)
})
