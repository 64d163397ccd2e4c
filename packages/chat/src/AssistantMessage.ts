/**
 * What an agent says of the message that it writes.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { MessageId } from "effect-cancellation"

/**
 * What can be written to a message; what is not given is left as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssistantFields {
  /** What is shown. */
  readonly text?: string | undefined
  /** What the model said, before references and layout. */
  readonly originalText?: string | undefined
  /** Sources, tool lines and the like, as JSON of the application's own. */
  readonly references?: Schema.Json | undefined
  /** For operators, never shown, as JSON of the application's own. */
  readonly debugInfo?: Schema.Json | undefined
  /** What kind of segment of a turn this is, in the application's words. */
  readonly segmentKind?: string | undefined
}

/**
 * A change to the message that is written now.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssistantChange extends AssistantFields {
  /** Sets `stoppedStreamingAt` to the store's time, once. */
  readonly setStoppedStreamingAt?: boolean | undefined
  /**
   * Sets `completedAt` to the store's time; later writes are refused. Rarely needed: `complete`, or the
   * end of the run, does it once.
   */
  readonly setCompletedAt?: boolean | undefined
}

/**
 * The next message of the same turn.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewAssistantMessage extends AssistantFields {
  /** Its id. Default: a new random one. */
  readonly messageId?: MessageId | undefined
}
