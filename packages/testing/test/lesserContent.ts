/** A store of texts in memory that can do less than others, as much of it as a test says. */
import * as Effect from "effect/Effect"
import {
  AlreadyCompleted,
  type ContentSupports,
  Message,
  MessageChange,
  type MessageContent,
  MessageContentError,
  MessageId,
  MessageRef,
  NewMessage,
  UnstorableText,
  Unsupported
} from "effect-cancellation"

export type Content = MessageContent["Service"]

/** Assistant's messages, which it names itself, and nothing that is not needed. */
export const least: ContentSupports = {
  ids: false,
  roles: ["assistant"],
  writers: false,
  reopen: false,
  nulls: false,
  clock: false
}

export const refuse = (reason: MessageContentError["reason"]) =>
  Effect.fail(new MessageContentError({ reason }))

// Its own clock is behind: far enough that no time of it is one of the store's.
const behind = (time: number): number => time - 3_600_000

/** What another store does, of which this one can only do so much, and says so. */
export const lesserContent = (content: Content, supports: ContentSupports): Content => {
  const answered = (message: Message): Message => {
    const { completedAt, stoppedStreamingAt } = message
    if (supports.clock) return message
    return Message.make({
      ...message,
      ...(completedAt === undefined ? {} : { completedAt: behind(completedAt) }),
      ...(stoppedStreamingAt === undefined
        ? {}
        : { stoppedStreamingAt: behind(stoppedStreamingAt) })
    })
  }

  const answer = (call: Effect.Effect<Message, MessageContentError>) =>
    call.pipe(
      Effect.map(answered),
      Effect.catch(({ reason }) =>
        refuse(
          reason._tag === "AlreadyCompleted" && !supports.clock
            ? new AlreadyCompleted({ ...reason, completedAt: behind(reason.completedAt) })
            : reason
        )
      )
    )

  const refuseNulls = ({ debugInfo, ref, references }: NewMessage | MessageChange) =>
    supports.nulls || (references !== null && debugInfo !== null)
      ? Effect.void
      : refuse(new UnstorableText({ messageId: ref.messageId, detail: "it is null" }))

  const refuseUnsupported = (operation: string, isSupported: boolean) =>
    isSupported ? Effect.void : refuse(new Unsupported({ operation }))

  return {
    supports,
    find: (query) => Effect.map(content.find(query), (messages) => messages.map(answered)),
    create: ({ ref, writer, ...message }) =>
      Effect.gen(function* () {
        yield* refuseUnsupported("create", supports.roles.includes(message.role))
        const messageId = supports.ids ? ref.messageId : MessageId.make(crypto.randomUUID())
        const made = NewMessage.make({
          ...message,
          ref: MessageRef.make({ ...ref, messageId }),
          ...(supports.writers && writer !== undefined ? { writer } : {})
        })
        yield* refuseNulls(made)
        return yield* answer(content.create(made))
      }),
    modify: ({ writer, ...change }) =>
      Effect.gen(function* () {
        yield* refuseUnsupported("reopen", supports.reopen || change.reopen !== true)
        const changed = MessageChange.make({
          ...change,
          ...(supports.writers && writer !== undefined ? { writer } : {})
        })
        yield* refuseNulls(changed)
        return yield* answer(content.modify(changed))
      })
  }
}
