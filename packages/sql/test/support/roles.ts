/** Roles, which belong to the whole server: tests that run at the same time see each other's. */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"

const prefix = "effect_cancellation_role_"

/** A new role, with a name that no other test has. It goes with the scope: it outlives its database. */
export const newRole = Effect.fnUntraced(function* (kind: string, options = "NOLOGIN") {
  const sql = yield* SqlClient.SqlClient
  const name = `${prefix}${kind}_${randomBytes(6).toString("hex")}`
  yield* Effect.acquireRelease(sql.unsafe(`CREATE ROLE ${name} ${options}`), () =>
    Effect.orDie(
      Effect.andThen(sql.unsafe(`DROP OWNED BY ${name}`), sql.unsafe(`DROP ROLE ${name}`))
    )
  )
  return name
})

/** The names of all roles but those of {@link newRole}. */
export const otherRoles = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`SELECT rolname FROM pg_roles WHERE NOT starts_with(rolname, ${prefix}) ORDER BY 1`
})
