/**
 * What can go wrong between this process and the platform.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Why a call to the platform failed.
 *
 * `NoAnswer`: nothing came, or not in time. `OddAnswer`: what came is no answer of the platform's, as
 * a page of a proxy. `RateLimited`: too many requests of this company (429), or the pause after that.
 * `AuthenticationError`: 401. `AuthorizationError`: 403. `NotFound`: 404. `InvalidRequest`: any other
 * 4xx. `Failed`: 5xx.
 *
 * @category models
 * @since 0.1.0
 */
export const UniqueErrorReason = Schema.TaggedUnion({
  NoAnswer: {},
  OddAnswer: {},
  RateLimited: {},
  AuthenticationError: {},
  AuthorizationError: {},
  NotFound: {},
  InvalidRequest: {},
  Failed: {}
})
/** A value of {@link UniqueErrorReason}. @category models @since 0.1.0 */
export type UniqueErrorReason = typeof UniqueErrorReason.Type

/**
 * A call to the platform failed. Its words never hold the key, the app id or a text of a message.
 *
 * @category errors
 * @since 0.1.0
 */
export class UniqueError extends Schema.TaggedError<UniqueError>(
  "effect-cancellation-unique/UniqueError"
)("UniqueError", {
  reason: UniqueErrorReason,
  /** What happened, and what to do about it. */
  detail: Schema.String,
  /** Of the answer, if there was one. */
  status: Schema.optionalKey(Schema.Number),
  /** The system's code for what befell the connection, such as `ECONNREFUSED`. */
  code: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.detail
  }
}
