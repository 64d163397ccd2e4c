/** All that is in a database, to see whether something has changed. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { tablesOf } from "./migrations.fixture.ts"
import { otherRoles } from "./support/roles.ts"

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
    pg: () => otherRoles,
    orElse: () => Effect.succeed([])
  })
  return { tables, rows, roles }
})
