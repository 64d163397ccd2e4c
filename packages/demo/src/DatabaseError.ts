/**
 * Why a database cannot be used, and what to do, for a person: without its settings, which hold a
 * password.
 */
import * as Predicate from "effect/Predicate"
import { SqlError } from "effect/sql"

/** `setting` is the variable that names the database, if one does. */
export const inWords = (error: { readonly message: string }, setting?: string): string => {
  const sqlError = sqlErrorIn(error)
  if (sqlError === undefined) return lowered(error.message)
  const { said, todo } = explain(sqlError, setting ?? "")
  return setting === undefined || todo === undefined ? `${said}.` : `${said}. ${todo}`
}

interface Explained {
  readonly said: string
  readonly todo?: string
}

const explain = (error: SqlError.SqlError, setting: string): Explained => {
  const { _tag, cause } = error.reason
  const said = wordsOf(cause) || error.message
  const code = codeOf(cause)
  if (said.includes("readonly database")) {
    return { said: "it, or the folder it is in, is read-only for this user" }
  }
  // The driver has one tag for a server that is away, a URL it cannot read, and a refused TLS.
  if (_tag === "ConnectionError") {
    if (mistakes.test(said)) {
      return { said: lowered(said), todo: `Correct ${setting}.` }
    }
    if (said.includes("does not support TLS")) {
      return {
        said: "the server does not support TLS",
        todo: `If the connection may be unencrypted, let sslmode in ${setting} be disable.`
      }
    }
    if (/CERT|SIGNED|ALTNAME/.test(code)) {
      return {
        said: `the certificate of the server is not trusted (${said})`,
        todo: `Name a file with its authority in NODE_EXTRA_CA_CERTS, and the server in ${setting} as the certificate does.`
      }
    }
    const todo = `Is it running, and are the host and the port in ${setting} right?`
    return said.includes("maxMessageSize")
      ? { said: "what answers there is not a PostgreSQL server", todo }
      : { said: `the server cannot be reached (${said})`, todo }
  }
  if (_tag === "AuthenticationError") {
    return {
      said: `the server does not let this user in (${said})`,
      todo: `Are the user and the password in ${setting} right?`
    }
  }
  if (_tag === "AuthorizationError") {
    return { said: `this user may not make or use its tables (${said})` }
  }
  if (code === "3D000") {
    return { said, todo: `Make it with CREATE DATABASE, or name another one in ${setting}.` }
  }
  return { said }
}

// What the driver says of a URL that is one, and which it still cannot use.
const mistakes = / in URL|must not contain NUL/

// The migrator wraps what the database said.
const sqlErrorIn = (error: unknown): SqlError.SqlError | undefined => {
  if (SqlError.isSqlError(error)) return error
  return Predicate.hasProperty(error, "cause") ? sqlErrorIn(error.cause) : undefined
}

// Node says why none of several addresses answered in the code alone.
const wordsOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message || codeOf(cause) : String(cause)

const codeOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "code") ? String(cause.code) : ""

const lowered = (text: string): string => `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`
