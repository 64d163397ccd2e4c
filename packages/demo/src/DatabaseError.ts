/**
 * Why a database cannot be used, for a person: without its settings, which hold a password.
 */
import * as Predicate from "effect/Predicate"
import { SqlError } from "effect/sql"

export const inWords = (error: { readonly message: string }): string => {
  const sqlError = sqlErrorIn(error)
  if (sqlError === undefined)
    return `${error.message.slice(0, 1).toLowerCase()}${error.message.slice(1)}`
  const { _tag, cause } = sqlError.reason
  const said = wordsOf(cause) || sqlError.message
  if (said.includes("readonly database")) {
    return "it, or the folder it is in, is read-only for this user."
  }
  if (_tag === "ConnectionError") return `the server cannot be reached (${said}).`
  if (_tag === "AuthenticationError") return `the server does not let this user in (${said}).`
  if (_tag === "AuthorizationError") return `this user may not make or use its tables (${said}).`
  return `${said}.`
}

// The migrator wraps what the database said.
const sqlErrorIn = (error: unknown): SqlError.SqlError | undefined => {
  if (SqlError.isSqlError(error)) return error
  return Predicate.hasProperty(error, "cause") ? sqlErrorIn(error.cause) : undefined
}

// Node says why none of several addresses answered in the code alone.
const wordsOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return cause.message || ("code" in cause ? String(cause.code) : "")
}
