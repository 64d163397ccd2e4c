/**
 * What the tests of the contract of texts share.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import {
  ChatId,
  CompanyId,
  type ContentSupports,
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

/** What a store of texts can do or not do; its roles are more than two. */
export type Feature = Exclude<keyof ContentSupports, "roles">

/** A test of one store, whoever runs it. */
export interface ContentTest {
  readonly title: string
  readonly body: (content: Content) => Effect.Effect<void, MessageContentError>
}

export interface ContentTests {
  readonly title: string
  readonly tests: ReadonlyArray<ContentTest>
}

/** Adds a test, if the store supports what it needs. */
type AddTest = (
  needs: ReadonlyArray<Feature>,
  title: ContentTest["title"],
  body: ContentTest["body"]
) => void

/** The tests of one group, for a store that supports this. */
export const group = (
  title: string,
  supports: ContentSupports,
  register: (test: AddTest) => void
): ContentTests => {
  const tests: Array<ContentTest> = []
  register((needs, title, body) => {
    if (needs.every((need) => supports[need])) tests.push({ title, body })
  })
  return { title, tests }
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

/**
 * Makes a message where it is said, and answers it: only its own `ref` names it, as a store may give
 * it an id of its own.
 */
export const made = (
  content: Content,
  ref: MessageRef,
  more?: Partial<Omit<NewMessage, "ref">>
): Effect.Effect<Message, MessageContentError> =>
  Effect.map(content.create(NewMessage.make({ ref, role: "assistant", ...more })), (message) => {
    const { messageId } = content.supports.ids ? ref : message.ref
    assert.strictEqual(messageKey(message.ref), messageKey(MessageRef.make({ ...ref, messageId })))
    return message
  })

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

/** The time at which something was set, by the store's clock if it is to be. */
export const assertSetAt = (
  supports: ContentSupports,
  time: number | undefined,
  storeTime: number
): void => {
  if (supports.clock) assert.strictEqual(time, storeTime)
  else assert.isTrue(Number.isFinite(time))
}

/** Waits until whatever is written next has a later time than a message was updated at. */
export const clockTicks = Effect.fnUntraced(function* (content: Content, { updatedAt }: Message) {
  const probe = yield* made(content, freshRef())
  yield* changed(content, probe.ref, { text: "tick" }).pipe(
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
