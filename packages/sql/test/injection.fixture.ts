/** All that is in a database, to see whether something has changed. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { tablesOf } from "./migrations.fixture.ts"

/** Its tables with their rows and, on PostgreSQL, the roles of the server. */
export const dumpOf = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const tables = yield* tablesOf
  const rows = yield* Effect.forEach(tables, (table) =>
    sql.onDialectOrElse({
      pg: () => sql`SELECT t :: text AS row FROM ${sql(table)} AS t ORDER BY 1`,
      orElse: () => sql`SELECT * FROM ${sql(table)} ORDER BY 1`
    })
  )
  const roles = yield* sql.onDialectOrElse({
    // but for those of tests that run at the same time
    pg: () => sql`SELECT rolname FROM pg_roles WHERE rolname !~ '_[0-9a-f]{12}$' ORDER BY 1`,
    orElse: () => Effect.succeed([])
  })
  return { tables, rows, roles }
})
