/**
 * Why a request is not taken for an event of the platform.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * `WrongSignature`: not signed with the secret, or not at all. `TooOld`: not sent within 300 seconds.
 * `OtherEvent`: the platform's, but not one that starts an agent. `Malformed`: no event. `TooLarge`:
 * longer than an event may be. `Unreadable`: the body did not arrive.
 *
 * @category models
 * @since 0.1.0
 */
export const UniqueWebhookReason = Schema.Literals([
  "WrongSignature",
  "TooOld",
  "OtherEvent",
  "Malformed",
  "TooLarge",
  "Unreadable"
])
/** A value of {@link UniqueWebhookReason}. @category models @since 0.1.0 */
export type UniqueWebhookReason = typeof UniqueWebhookReason.Type

/**
 * A request to a webhook is no event to act on; `status` is what to answer. An event of another kind
 * is answered 200, or the platform would send it again.
 *
 * @category errors
 * @since 0.1.0
 */
export class UniqueWebhookError extends Schema.TaggedError<UniqueWebhookError>(
  "effect-cancellation-unique/UniqueWebhookError"
)("UniqueWebhookError", {
  reason: UniqueWebhookReason,
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }

  /** The status of HTTP that says the same. */
  get status(): number {
    return statuses[this.reason]
  }
}

const statuses: Readonly<Record<UniqueWebhookReason, number>> = {
  WrongSignature: 401,
  TooOld: 401,
  OtherEvent: 200,
  Malformed: 400,
  TooLarge: 413,
  Unreadable: 400
}
