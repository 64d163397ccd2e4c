// An error in a line: what the driver says, and what the database said, each once.
import { assert, it } from "@effect/vitest"
import { SqlError } from "effect/sql"
import { explained, lineOf } from "../src/internal/errors.ts"

const errorOf = (message: string, cause: unknown) =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ cause, message, operation: "query" })
  })

const lines: ReadonlyArray<readonly [error: unknown, line: string]> = [
  [
    errorOf("PgConnection: Connection closed", new Error("Connection closed")),
    "PgConnection: Connection closed"
  ],
  [
    errorOf("SQLite could not execute: database is locked", new Error("database is locked")),
    "SQLite could not execute: database is locked"
  ],
  [
    errorOf("PgConnection: Query failed", new Error("deadlock detected")),
    "PgConnection: Query failed: deadlock detected"
  ],
  // As Node has it if none of several addresses answered.
  [
    errorOf(
      "PgConnection: Failed to connect",
      Object.assign(new Error(""), { code: "ECONNREFUSED" })
    ),
    "PgConnection: Failed to connect: ECONNREFUSED"
  ],
  [errorOf("PgConnection: Failed to connect", new Error("")), "PgConnection: Failed to connect"]
]

it("says nothing twice", () => {
  for (const [error, line] of lines) {
    assert.strictEqual(lineOf(error), line)
    const cause = explained(error)
    assert.instanceOf(cause, Error)
    assert.strictEqual(cause instanceof Error ? cause.message : undefined, line)
  }
})
