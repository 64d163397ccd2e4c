/**
 * What can go wrong between the library and a database.
 *
 * @since 0.1.0
 */

/**
 * A stop or a question could not be brought to the store. `reason` says what can be done:
 *
 * | `reason` | |
 * |---|---|
 * | `unavailable` | the store did not answer: ask again |
 * | `unsupported` | this store cannot do this |
 * | `notFound` | there is no such run, and the store cannot keep a stop for one to come |
 * | `malformed` | a row has a value it cannot have: mend it |
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreError extends Error {
  override readonly name = "StoreError"
  readonly reason: "unavailable" | "unsupported" | "notFound" | "malformed"

  constructor(reason: StoreError["reason"], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
