/** A chat in memory: what every test of an agent begins with. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type Message,
  MessageContent,
  MessageQuery,
  MessageRef,
  MessageRepo,
  MessageStore,
  NewMessage,
  RunId,
  RunQuery,
  type RunRecord
} from "effect-cancellation"

export const ref = MessageRef.of({ chatId: "chat", messageId: "message" })
export const runId = RunId.make("run")

/** The repo and the texts, with the message that is to be written. */
export const layer = Layer.effectDiscard(
  Effect.flatMap(MessageContent, (content) =>
    content.create(NewMessage.make({ ref, role: "assistant", writer: runId }))
  )
).pipe(
  Layer.provideMerge(MessageRepo.layer()),
  Layer.provideMerge(Layer.merge(MessageStore.layerMemory(), MessageContent.layerMemory))
)

/** The message as it is stored. */
export const stored = (messageId = ref.messageId): Effect.Effect<Message, never, MessageContent> =>
  Effect.gen(function* () {
    const content = yield* MessageContent
    const { chatId } = ref
    const [message] = yield* content.find(MessageQuery.make({ chatId, messageId }))
    return message === undefined ? yield* Effect.die(new Error(`no message ${messageId}`)) : message
  }).pipe(Effect.orDie)

/** The run as it is stored. */
export const storedRun: Effect.Effect<RunRecord | undefined, never, MessageRepo> = Effect.gen(
  function* () {
    const repo = yield* MessageRepo
    const records = yield* repo.findRuns(RunQuery.cases.Chat.make({ chatId: ref.chatId }))
    return records.find(({ run }) => run.runId === runId)
  }
).pipe(Effect.orDie)
