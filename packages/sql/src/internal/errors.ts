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
  const said = wordsOf(error)
  return /relation "agent_\w+" does not exist|no such table: agent_/.test(said)
    ? new Error(
        `${said}. The tables are missing: provide Migrations.layer, or run the statements of the package's migrations folder.`,
        { cause: error }
      )
    : new Error(`${error.message}: ${said}`, { cause: error })
}

/** What the database itself said. */
export const wordsOf = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  return cause instanceof Error ? cause.message : String(cause)
}

/** The error of the database under what others have made of it. */
export const sqlErrorIn = (error: unknown): SqlError.SqlError | undefined => {
  if (SqlError.isSqlError(error)) return error
  return Predicate.hasProperty(error, "cause") ? sqlErrorIn(error.cause) : undefined
}
