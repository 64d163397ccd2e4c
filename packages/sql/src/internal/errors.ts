/**
 * What the database said, in the words of the ports.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { MessageStoreError, unavailable } from "effect-cancellation"
import { SqlError } from "effect/sql"

/** The errors of a store's operation. */
export const storeErrors = <A>(
  operation: string,
  effect: Effect.Effect<A, SqlError.SqlError | MessageStoreError>
): Effect.Effect<A, MessageStoreError> =>
  Effect.mapError(effect, (error) =>
    error instanceof MessageStoreError ? error : unavailable(operation, explained(error))
  )

/** What a person needs to know who reads "relation does not exist" in a log. */
export const explained = (error: unknown): unknown => {
  if (!SqlError.isSqlError(error)) return error
  const plain = plainly(error)
  const said = wordsOf(plain)
  if (/relation "agent_\w+" does not exist|no such table: agent_/.test(said)) {
    return new Error(
      `${said}. The tables are missing: provide Migrations.layer, or run the statements of the package's migrations folder.`,
      { cause: plain }
    )
  }
  return new Error(lacksRights(plain) ? `${said}. ${rightsHint}` : lineOf(plain), { cause: plain })
}

/** Whether the database is in order, and the role may not use what the package has made there. */
export const lacksRights = (error: SqlError.SqlError): boolean =>
  error.reason._tag === "AuthorizationError" &&
  /\bagent_|\beffect_cancellation_/.test(wordsOf(error))

/** Where to look for what such a role needs. */
export const rightsHint =
  "The role lacks a right: what each needs is in the package's migrations/postgresql/rights.sql."

/** What the database itself said. */
export const wordsOf = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  if (!(cause instanceof Error)) return String(cause)
  // Node says why none of several addresses answered in the code alone.
  return cause.message || (Predicate.hasProperty(cause, "code") ? String(cause.code) : "")
}

/** An error in a line, without the settings of the connection: they hold a password. */
export const lineOf = (error: unknown): string => {
  if (!SqlError.isSqlError(error)) return error instanceof Error ? error.message : String(error)
  const plain = plainly(error)
  const said = wordsOf(plain)
  // The driver often says the same in both.
  return plain.message.endsWith(said) ? plain.message : `${plain.message}: ${said}`
}

/** The error of the database under what others have made of it. */
export const sqlErrorIn = (error: unknown): SqlError.SqlError | undefined => {
  if (SqlError.isSqlError(error)) return error
  return Predicate.hasProperty(error, "cause") ? sqlErrorIn(error.cause) : undefined
}

/** The same error; where the driver's own helps nobody, or shows the URL, one that does not. */
export const plainly = (error: SqlError.SqlError): SqlError.SqlError => {
  const words = plainWords(error.reason.cause)
  return words === undefined
    ? error
    : new SqlError.SqlError({
        reason: new SqlError.ConnectionError({
          cause: new Error(words),
          message: "PostgreSQL cannot be connected to",
          operation: "connect"
        })
      })
}

const plainWords = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  // Node keeps the text, and with it the password, in the error: `input`.
  if ("code" in cause && cause.code === "ERR_INVALID_URL") {
    return "the connection URL cannot be read. A #, /, ? or % in a user or password is written %23, %2F, %3F or %25"
  }
  if (cause.message === "No username configured") {
    return "the connection URL names no user: write postgres://user@host/database"
  }
  return cause.message === "The server does not support TLS"
    ? "the server does not support TLS, which is asked for. Turn it on there, or write sslmode=disable in the URL (or ssl: false) where the network can be trusted"
    : undefined
}
