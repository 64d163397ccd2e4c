/**
 * Why a message's text could not be read or written.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Unsupported } from "./MessageStoreError.ts"

/**
 * The store of texts did not answer. Worth trying again.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContentUnavailable extends Schema.TaggedError<ContentUnavailable>(
  "effect-cancellation/ContentUnavailable"
)("ContentUnavailable", { operation: Schema.String, cause: Schema.Defect() }) {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `The store of messages did not do ${this.operation}: ${why}`
  }
}

/**
 * There is no such message.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageNotFound extends Schema.TaggedError<MessageNotFound>(
  "effect-cancellation/MessageNotFound"
)("MessageNotFound", { messageId: Schema.String }) {
  override get message(): string {
    return `There is no message ${this.messageId} in this chat; MessageContent.create makes one, before its run.`
  }
}

/**
 * There is such a message already; it was left as it is.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageExists extends Schema.TaggedError<MessageExists>(
  "effect-cancellation/MessageExists"
)("MessageExists", { messageId: Schema.String }) {
  override get message(): string {
    return `Message ${this.messageId} exists already; change it, or pass reopen to write it anew.`
  }
}

/**
 * A late write was refused: the message is complete.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyCompleted extends Schema.TaggedError<AlreadyCompleted>(
  "effect-cancellation/AlreadyCompleted"
)("AlreadyCompleted", { messageId: Schema.String, completedAt: Schema.Finite }) {
  override get message(): string {
    return `Message ${this.messageId} is complete; nothing is written after that.`
  }
}

/**
 * A late write was refused: another run writes the message now.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotTheWriter extends Schema.TaggedError<NotTheWriter>(
  "effect-cancellation/NotTheWriter"
)("NotTheWriter", { messageId: Schema.String, writer: Schema.String }) {
  override get message(): string {
    return `Message ${this.messageId} is written by run ${this.writer} now.`
  }
}

/**
 * The database cannot keep this text as it is. Nothing was written; trying again will not help.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnstorableText extends Schema.TaggedError<UnstorableText>(
  "effect-cancellation/UnstorableText"
)("UnstorableText", {
  messageId: Schema.String,
  /** What it cannot keep. */
  detail: Schema.String
}) {
  override get message(): string {
    return `A text of message ${this.messageId} cannot be stored: ${this.detail}.`
  }
}

/**
 * An operation of a `MessageContent` failed; `reason` tells what a caller can do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageContentError extends Schema.TaggedError<MessageContentError>(
  "effect-cancellation/MessageContentError"
)("MessageContentError", {
  reason: Schema.Union([
    ContentUnavailable,
    MessageNotFound,
    MessageExists,
    AlreadyCompleted,
    NotTheWriter,
    UnstorableText,
    Unsupported
  ])
}) {
  override get message(): string {
    return this.reason.message
  }
}
