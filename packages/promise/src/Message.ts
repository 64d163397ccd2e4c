/**
 * Which message is written, and which attempt writes it.
 *
 * @since 0.1.0
 */

/**
 * A chat. Ids are 1 to 255 printable characters without quotes. Without `companyId` or `userId` the
 * chat belongs to the one tenant `default`, and matches only that tenant's, never any.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatRef {
  readonly chatId: string
  /** The tenant. */
  readonly companyId?: string | undefined
  /** The person the chat belongs to. */
  readonly userId?: string | undefined
}

/**
 * The assistant's message that an agent writes.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageRef extends ChatRef {
  readonly messageId: string
}

/**
 * One attempt to write a message.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunRef extends MessageRef {
  readonly runId: string
}
