/**
 * What can go wrong between the library and a database.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The store did not answer, or answered that it cannot now. Worth trying again.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>(
  "effect-cancellation/StoreUnavailable"
)("StoreUnavailable", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `The store did not do ${this.operation}: ${why}`
  }
}

/**
 * A row has a value it cannot have. Trying again will not help: the row must be mended.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedRow extends Schema.TaggedError<MalformedRow>(
  "effect-cancellation/MalformedRow"
)("MalformedRow", {
  /** What is wrong with which column. */
  detail: Schema.String
}) {
  override get message(): string {
    return `A row of the store is malformed: ${this.detail}`
  }
}

/**
 * There is no such run, and the store cannot note a stop for a run that has not begun.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>("effect-cancellation/RunNotFound")(
  "RunNotFound",
  { detail: Schema.String }
) {
  override get message(): string {
    return `No such run: ${this.detail}`
  }
}

/**
 * This store cannot do this; its `supports` says so beforehand.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unsupported extends Schema.TaggedError<Unsupported>("effect-cancellation/Unsupported")(
  "Unsupported",
  {
    operation: Schema.String,
    /** What stands in the way, if the store says so. */
    why: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    const why = this.why === undefined ? "" : `: ${this.why}`
    return `This store does not support ${this.operation}${why}; look at its \`supports\` first.`
  }
}

/**
 * An operation of a `MessageStore` failed; `reason` tells what a caller can do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageStoreError extends Schema.TaggedError<MessageStoreError>(
  "effect-cancellation/MessageStoreError"
)("MessageStoreError", {
  reason: Schema.Union([StoreUnavailable, MalformedRow, RunNotFound, Unsupported])
}) {
  override get message(): string {
    return this.reason.message
  }
}

/**
 * The error of a store that was asked for what it does not support, and why it does not.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unsupported = (operation: string, why?: string): MessageStoreError =>
  new MessageStoreError({
    reason: new Unsupported({ operation, ...(why === undefined ? {} : { why }) })
  })

/**
 * The error of a store that did not do what it was asked, with what it said.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unavailable = (operation: string, cause: unknown): MessageStoreError =>
  new MessageStoreError({ reason: new StoreUnavailable({ operation, cause }) })
