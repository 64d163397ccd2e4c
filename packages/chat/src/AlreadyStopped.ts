/**
 * The error of what may not begin any more.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { CancellationEvent } from "effect-cancellation"

/**
 * The run is cancelled, so it begins no further message. `event` says by whom and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyStopped extends Schema.TaggedError<AlreadyStopped>(
  "effect-cancellation-chat/AlreadyStopped"
)("AlreadyStopped", { event: CancellationEvent }) {
  override get message(): string {
    const { request, run } = this.event
    return `The run of message ${run.ref.messageId} is cancelled (${request.reason}); it makes no further message.`
  }
}
