/**
 * Which failures of a store look as if they would not pass by themselves: no such table, no rights,
 * a wrong password, a URL that is none, a certificate that is refused. Only the log depends on it; the store is asked again all the same.
 */
import type * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"

// SQLSTATE: invalid authorization, no such database, no such schema, syntax error or access rule.
const states = /^(?:28|3D|3F|42)[0-9A-Z]{3}$/

// Node's, of its URLs and of certificates it does not trust; the latter are OpenSSL's names.
const nodeCodes =
  /^(?:ERR_INVALID_URL|ERR_TLS_CERT_\w+|HOSTNAME_MISMATCH|INVALID_CA|CERT_(?!NOT_YET_VALID)\w+|SELF_SIGNED_CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER_CERT|VERIFY_LEAF)\w*)$/

// The reasons of effect's `SqlError`, by name: its module is not stable. Its `isRetryable` would not
// do: it is false of whatever it has no name for, a server that is shutting down among them.
const reasons = new Set(["AuthenticationError", "AuthorizationError", "SqlSyntaxError"])

// SQLite has one code for most of its errors.
const messages = /^(?:no such (?:table|column)|attempt to write a readonly database)/

/** Whether a person has to do something about it. */
export const looksPermanent = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => reason._tag === "Fail" && isPermanent(reason.error, 0))

// Adapters wrap what the driver said, some of them more than once.
const isPermanent = (error: unknown, depth: number): boolean => {
  if (depth > 8 || !Predicate.isObject(error)) return false
  const { _tag, cause, code, message, reason, sqlState } = error
  if (_tag === "Unsupported" || _tag === "MalformedRow") return true
  if (typeof _tag === "string" && reasons.has(_tag)) return true
  if ([code, sqlState].some((state) => typeof state === "string" && states.test(state))) return true
  if (typeof code === "string" && nodeCodes.test(code)) return true
  if (typeof message === "string" && messages.test(message)) return true
  return isPermanent(reason, depth + 1) || isPermanent(cause, depth + 1)
}
