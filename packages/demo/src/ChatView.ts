/**
 * A chat as a page shows it: messages of the store, with what their runs say about them.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import {
  type ChatId,
  type Message,
  MessageContent,
  type MessageContentError,
  MessageId,
  MessageQuery,
  MessageRef,
  MessageRepo,
  MessageRole,
  MessageStore,
  type MessageStoreError,
  Run,
  RunId,
  runKey,
  RunOutcome,
  RunQuery,
  type RunRecord,
  UserId
} from "effect-cancellation"
import { Drafts } from "./Drafts.ts"
import { people } from "./Person.ts"
import { SignsOfLife } from "./SignsOfLife.ts"
import { stopOf, StopView } from "./StopView.ts"
import { storeTime } from "./storeTime.ts"
import { ToolLine, toolsOf } from "./ToolLine.ts"

/** How a message stands: `said` by a person, being written, being stopped, or how its run ended. */
const MessageState = Schema.Union([Schema.Literals(["said", "running", "stopping"]), RunOutcome])
type MessageState = typeof MessageState.Type

export class MessageView extends Schema.Class<MessageView>("effect-cancellation-demo/MessageView")({
  messageId: MessageId,
  /** Who asked; nobody knows it of messages from before there were two people. */
  userId: Schema.optionalKey(UserId),
  role: MessageRole,
  text: Schema.String,
  tools: Schema.Array(ToolLine),
  runId: Schema.optionalKey(RunId),
  state: MessageState,
  stop: Schema.optionalKey(StopView),
  /** For how many seconds its process has given no sign of life, if that is unusually long. */
  silence: Schema.optionalKey(Schema.Natural)
}) {}

export class ChatView extends Context.Service<
  ChatView,
  {
    /** The messages of a chat as they are stored, oldest first. */
    readonly stored: (chatId: ChatId) => Effect.Effect<ReadonlyArray<Message>, MessageContentError>
    /** Reads a chat, which all people share, from the store; one that nobody wrote in is empty. */
    readonly read: (
      chatId: ChatId
    ) => Effect.Effect<ReadonlyArray<MessageView>, MessageContentError | MessageStoreError>
    /** The same with the words of this process that are not stored yet. */
    readonly withDrafts: (
      chatId: ChatId,
      messages: ReadonlyArray<MessageView>
    ) => ReadonlyArray<MessageView>
  }
>()("effect-cancellation-demo/ChatView") {
  static readonly layer = (options: {
    /** How long a message may wait for its run to be stored. */
    readonly startGrace: Duration.Input
  }): Layer.Layer<
    ChatView,
    never,
    MessageContent | MessageStore | MessageRepo | SignsOfLife | Drafts
  > =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const content = yield* MessageContent
        const store = yield* MessageStore
        const repo = yield* MessageRepo
        const signs = yield* SignsOfLife
        const drafts = yield* Drafts
        const startGrace = Duration.toMillis(options.startGrace)

        // The store finds one person's messages at a time.
        const stored = (chatId: ChatId) =>
          Effect.map(
            Effect.forEach(
              [{}, ...people.map(({ userId }) => ({ userId }))],
              (whose) => content.find(MessageQuery.make({ ...whose, chatId })),
              { concurrency: "unbounded" }
            ),
            (found) => found.flat().toSorted((one, other) => one.createdAt - other.createdAt)
          )

        const read = Effect.fnUntraced(function* (chatId: ChatId) {
          const messages = yield* stored(chatId)
          const records = yield* repo.findRuns(RunQuery.cases.Chat.make({ chatId }))
          const isWaited = messages.some((message) => awaitsRun(message, records))
          const now = isWaited ? yield* storeTime(store) : 0
          // What is written here needs no other sign of life.
          const silenceOf = yield* signs.silences(
            records.filter(({ run }) => drafts.get(run) === undefined)
          )
          return yield* Effect.forEach(messages, (message) =>
            viewOf(message, records, { startedBefore: now - startGrace, silenceOf })
          )
        })

        const withDrafts = (chatId: ChatId, messages: ReadonlyArray<MessageView>) =>
          messages.map((message) => {
            const run = runOf(chatId, message)
            const draft = run === undefined ? undefined : drafts.get(run)
            return draft === undefined ? message : MessageView.make({ ...message, ...draft })
          })

        return { stored, read, withDrafts }
      })
    )
}

const viewOf = Effect.fnUntraced(function* (
  message: Message,
  records: ReadonlyArray<RunRecord>,
  {
    silenceOf,
    startedBefore
  }: {
    readonly startedBefore: number
    readonly silenceOf: (record: RunRecord) => number | undefined
  }
) {
  const { ref, role, text, writer } = message
  const view = {
    messageId: ref.messageId,
    ...(ref.userId === undefined ? {} : { userId: ref.userId }),
    role,
    text,
    tools: yield* toolsOf(message)
  }
  if (writer === undefined) return MessageView.make({ ...view, state: "said" })
  const record = recordOf(message, records)
  const stop = record === undefined ? undefined : stopOf(record)
  const silence = record === undefined ? undefined : silenceOf(record)
  return MessageView.make({
    ...view,
    runId: writer,
    state: record === undefined ? stateWithoutRun(message, startedBefore) : stateOf(record),
    ...(stop === undefined ? {} : { stop }),
    ...(silence === undefined ? {} : { silence })
  })
})

const recordOf = ({ ref, writer }: Message, records: ReadonlyArray<RunRecord>) => {
  const key = writer === undefined ? undefined : runKey(Run.make({ ref, runId: writer }))
  return records.find(({ run }) => runKey(run) === key)
}

const awaitsRun = (message: Message, records: ReadonlyArray<RunRecord>): boolean =>
  message.writer !== undefined &&
  message.completedAt === undefined &&
  recordOf(message, records) === undefined

const stateOf = (record: RunRecord): MessageState =>
  record.outcome ?? (record.request === undefined ? "running" : "stopping")

// Its run is stored in a moment, unless its process died in that moment: then nobody writes it.
const stateWithoutRun = (message: Message, startedBefore: number): MessageState =>
  message.completedAt !== undefined
    ? "completed"
    : message.updatedAt < startedBefore
      ? "lost"
      : "running"

/** The run that writes a message, or wrote it last. */
export const runOf = (
  chatId: ChatId,
  { messageId, runId, userId }: MessageView
): Run | undefined => {
  const ref = MessageRef.make({ chatId, messageId, ...(userId === undefined ? {} : { userId }) })
  return runId === undefined ? undefined : Run.make({ ref, runId })
}
