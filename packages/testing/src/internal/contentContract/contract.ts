/**
 * What the tests of the contract of texts share.
 */
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import {
  ChatId,
  CompanyId,
  type Message,
  MessageChange,
  type MessageContent,
  type MessageContentError,
  MessageId,
  messageKey,
  MessageQuery,
  MessageRef,
  NewMessage,
  RunId,
  UserId
} from "effect-cancellation"

export type Content = MessageContent["Service"]

export interface ContentContract {
  readonly it: Vitest.MethodsNonLive<MessageContent>
  /** For one test, in milliseconds. */
  readonly timeout: number
}

export const freshId = (): string => crypto.randomUUID()

/** A message of a chat of its own. */
export const freshRef = (): MessageRef =>
  MessageRef.make({
    companyId: CompanyId.make(freshId()),
    userId: UserId.make(freshId()),
    chatId: ChatId.make(freshId()),
    messageId: MessageId.make(freshId())
  })

export const freshWriter = (): RunId => RunId.make(freshId())

/** Another message of the same chat. */
export const nextRef = (ref: MessageRef): MessageRef =>
  MessageRef.make({ ...ref, messageId: MessageId.make(freshId()) })

export const made = (
  content: Content,
  ref: MessageRef,
  more?: Partial<Omit<NewMessage, "ref">>
): Effect.Effect<Message, MessageContentError> =>
  content.create(NewMessage.make({ ref, role: "assistant", ...more }))

export const changed = (
  content: Content,
  ref: MessageRef,
  change: Partial<Omit<MessageChange, "ref">>
): Effect.Effect<Message, MessageContentError> =>
  content.modify(MessageChange.make({ ref, ...change }))

/** The reason for which something is refused; dies if it is not. */
export const refusal = <A>(effect: Effect.Effect<A, MessageContentError>) =>
  Effect.flip(effect).pipe(
    Effect.map(({ reason }) => reason),
    Effect.catch(() => Effect.die(new Error("It was not refused")))
  )

export const found = (
  content: Content,
  ref: MessageRef
): Effect.Effect<ReadonlyArray<Message>, MessageContentError> =>
  content.find(MessageQuery.make(ref))

export const chatOf = ({ messageId: _messageId, ...chat }: MessageRef): MessageQuery =>
  MessageQuery.make(chat)

/** Everything of a message that can be compared, whichever way the store wrote a default tenant. */
export const standing = ({ ref, ...message }: Message) => ({ ...message, ref: messageKey(ref) })

/** Waits until whatever is written next has a later time than a message was updated at. */
export const clockTicks = Effect.fnUntraced(function* (content: Content, { updatedAt }: Message) {
  const probe = freshRef()
  yield* made(content, probe)
  yield* changed(content, probe, { text: "tick" }).pipe(
    Effect.repeat({
      schedule: Schedule.spaced("5 millis"),
      until: (message) => message.updatedAt > updatedAt
    }),
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.die(new Error(`The store's clock did not pass ${updatedAt}`))
    })
  )
})
