/**
 * The port to the text of messages, used by the chat and the demo; the watcher does not need it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import {
  ChatId,
  CompanyId,
  defaultTenant,
  MessageId,
  messageKey,
  MessageRef,
  RunId,
  UserId
} from "./Message.ts"
import {
  AlreadyCompleted,
  MessageContentError,
  MessageExists,
  MessageNotFound,
  NotTheWriter
} from "./MessageContentError.ts"

/**
 * Who speaks in a message.
 *
 * @category models
 * @since 0.1.0
 */
export const MessageRole = Schema.Literals(["user", "assistant", "system"])
/** A value of {@link MessageRole}. @category models @since 0.1.0 */
export type MessageRole = typeof MessageRole.Type

const writable = {
  /** What is shown. */
  text: Schema.optionalKey(Schema.String),
  /** What the model said, before references and layout. */
  originalText: Schema.optionalKey(Schema.String),
  /** Sources, tool lines and the like, as JSON of the application's own. */
  references: Schema.optionalKey(Schema.Json),
  /** For operators, never shown, as JSON of the application's own. */
  debugInfo: Schema.optionalKey(Schema.Json),
  /** What kind of segment of a turn this is, in the application's words. */
  segmentKind: Schema.optionalKey(Schema.String)
}

/**
 * A message as it is stored. Times are milliseconds since 1970 by the store's clock.
 *
 * @category models
 * @since 0.1.0
 */
export class Message extends Schema.Class<Message>("effect-cancellation/Message")({
  ref: MessageRef,
  role: MessageRole,
  ...writable,
  text: Schema.String,
  /** The run that writes it: any other's writes are refused. */
  writer: Schema.optionalKey(RunId),
  createdAt: Schema.Finite,
  updatedAt: Schema.Finite,
  /** Any end of the stream of text. */
  stoppedStreamingAt: Schema.optionalKey(Schema.Finite),
  /** All processing is done; nothing is written after it. */
  completedAt: Schema.optionalKey(Schema.Finite)
}) {}

/**
 * A message to make. With `writer`, only that run may change it.
 *
 * @category models
 * @since 0.1.0
 */
export class NewMessage extends Schema.Class<NewMessage>("effect-cancellation/NewMessage")({
  ref: MessageRef,
  role: MessageRole,
  ...writable,
  writer: Schema.optionalKey(RunId),
  /** Complete from the start: what a person said. */
  setCompletedAt: Schema.optionalKey(Schema.Boolean)
}) {}

/**
 * A change to a message; what is not set is left alone.
 *
 * @category models
 * @since 0.1.0
 */
export class MessageChange extends Schema.Class<MessageChange>("effect-cancellation/MessageChange")(
  {
    ref: MessageRef,
    ...writable,
    /** The run that writes; must be the message's writer, if it has one. */
    writer: Schema.optionalKey(RunId),
    /** Sets `stoppedStreamingAt` to the store's time, once. */
    setStoppedStreamingAt: Schema.optionalKey(Schema.Boolean),
    /** Sets `completedAt` to the store's time; later changes are refused. */
    setCompletedAt: Schema.optionalKey(Schema.Boolean),
    /** Begins the message anew for `writer`: empty, not completed, and the writer before is refused. */
    reopen: Schema.optionalKey(Schema.Boolean)
  }
) {}

/**
 * Which messages to find: one, or all of a chat, oldest first. Company, user and chat must match.
 *
 * @category models
 * @since 0.1.0
 */
export class MessageQuery extends Schema.Class<MessageQuery>("effect-cancellation/MessageQuery")({
  companyId: Schema.optionalKey(CompanyId),
  userId: Schema.optionalKey(UserId),
  chatId: ChatId,
  messageId: Schema.optionalKey(MessageId)
}) {}

/**
 * What a store of texts can do. What it is asked beyond that fails with the reason `Unsupported`,
 * or is left out where that is said.
 *
 * @category models
 * @since 0.1.0
 */
export interface ContentSupports {
  /** A message has the id that `create` is given. Otherwise the store names it: take the one answered. */
  readonly ids: boolean
  /** Whose messages it makes. */
  readonly roles: ReadonlyArray<MessageRole>
  /** It keeps the writer, and refuses others. Otherwise a writer is left out. */
  readonly writers: boolean
  /** `reopen`. */
  readonly reopen: boolean
  /** A `null` for `references` or `debugInfo` is kept; otherwise it is refused as `UnstorableText`. */
  readonly nulls: boolean
  /** `stoppedStreamingAt` and `completedAt` are by the store's clock, and not by this process's. */
  readonly clock: boolean
}

/** A store of texts that can do everything. @category models @since 0.1.0 */
export const fullContentSupport: ContentSupports = {
  ids: true,
  roles: MessageRole.literals,
  writers: true,
  reopen: true,
  nulls: true,
  clock: true
}

/**
 * The texts of messages.
 *
 * @category services
 * @since 0.1.0
 */
export class MessageContent extends Context.Service<
  MessageContent,
  {
    /** What this store can do. */
    readonly supports: ContentSupports

    /** Finds messages, oldest first; none is no error. */
    readonly find: (
      query: MessageQuery
    ) => Effect.Effect<ReadonlyArray<Message>, MessageContentError>

    /**
     * Makes a message and answers it, under the id given or one that the store gives it, as
     * `supports.ids` says; one that exists is left as it is: `MessageExists`.
     */
    readonly create: (message: NewMessage) => Effect.Effect<Message, MessageContentError>

    /**
     * Changes a message in one step and answers it. Refused after completion (`AlreadyCompleted`)
     * and from a run that is not its writer (`NotTheWriter`), unless it reopens the message.
     */
    readonly modify: (change: MessageChange) => Effect.Effect<Message, MessageContentError>
  }
>()("effect-cancellation/MessageContent") {
  /** Texts in this process's memory; for tests, and for programs of one process. */
  static readonly layerMemory: Layer.Layer<MessageContent> = Layer.sync(this, () =>
    makeMemoryContent()
  )
}

const makeMemoryContent = (): MessageContent["Service"] => {
  const messages = new Map<string, Message>()

  const refuse = (reason: MessageContentError["reason"]) =>
    Effect.fail(new MessageContentError({ reason }))

  const write = (message: Message) => {
    messages.set(messageKey(message.ref), message)
    return Effect.succeed(message)
  }

  const create = (input: NewMessage, now: number) => {
    const { messageId } = input.ref
    if (messages.has(messageKey(input.ref))) return refuse(new MessageExists({ messageId }))
    const { setCompletedAt, ...fields } = input
    return write(
      Message.make({
        text: "",
        ...fields,
        createdAt: now,
        updatedAt: now,
        ...(setCompletedAt === true ? { completedAt: now } : {})
      })
    )
  }

  const modify = (change: MessageChange, now: number) => {
    const { reopen, setCompletedAt, setStoppedStreamingAt, writer, ...fields } = change
    const { messageId } = change.ref
    const message = messages.get(messageKey(change.ref))
    if (message === undefined) return refuse(new MessageNotFound({ messageId }))
    if (reopen !== true) {
      const { completedAt } = message
      if (message.writer !== undefined && message.writer !== writer) {
        return refuse(new NotTheWriter({ messageId, writer: message.writer }))
      }
      if (completedAt !== undefined) return refuse(new AlreadyCompleted({ messageId, completedAt }))
    }
    const { createdAt, ref, role } = message
    return write(
      Message.make({
        ...(reopen === true ? { ref, role, createdAt, text: "" } : message),
        ...fields,
        ...(writer === undefined ? {} : { writer }),
        updatedAt: now,
        ...(setStoppedStreamingAt === true
          ? { stoppedStreamingAt: message.stoppedStreamingAt ?? now }
          : {}),
        ...(setCompletedAt === true ? { completedAt: now } : {})
      })
    )
  }

  return {
    supports: fullContentSupport,
    find: (query) =>
      Effect.sync(() => Array.from(messages.values()).filter((message) => isFound(query, message))),
    create: (message) => Effect.flatMap(Clock.currentTimeMillis, (now) => create(message, now)),
    modify: (change) => Effect.flatMap(Clock.currentTimeMillis, (now) => modify(change, now))
  }
}

const isFound = (query: MessageQuery, { ref }: Message): boolean =>
  (query.companyId ?? defaultTenant) === (ref.companyId ?? defaultTenant) &&
  (query.userId ?? defaultTenant) === (ref.userId ?? defaultTenant) &&
  query.chatId === ref.chatId &&
  (query.messageId === undefined || query.messageId === ref.messageId)
