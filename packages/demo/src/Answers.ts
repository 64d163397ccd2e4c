/**
 * Begins answers, and keeps them running whoever looks. Stopping them is the Stop API's.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { type LanguageModel, Prompt, type Tool } from "effect/ai"
import {
  type ChatId,
  MessageChange,
  MessageContent,
  type MessageContentError,
  type MessageId,
  MessageRef,
  type MessageRepo,
  type MessageStoreError,
  NewMessage,
  Run,
  type RunId,
  runKey
} from "effect-cancellation"
import { ChatHistory } from "effect-cancellation-chat"
import * as Agent from "./Agent.ts"
import { ChatView, type MessageView } from "./ChatView.ts"
import { Drafts } from "./Drafts.ts"
import { nameOf, type Person } from "./Person.ts"
import { turnOf } from "./ToolLine.ts"
import type { toolkit } from "./Tools.ts"

/** The chat is not in a state for this. */
export class Conflict extends Schema.TaggedError<Conflict>("effect-cancellation-demo/Conflict")(
  "Conflict",
  { detail: Schema.String }
) {
  override get message(): string {
    return this.detail
  }
}

/** There is nothing of that name. */
export class NotFound extends Schema.TaggedError<NotFound>("effect-cancellation-demo/NotFound")(
  "NotFound",
  { detail: Schema.String }
) {
  override get message(): string {
    return this.detail
  }
}

/** It is somebody else's. */
export class NotYours extends Schema.TaggedError<NotYours>("effect-cancellation-demo/NotYours")(
  "NotYours",
  { detail: Schema.String }
) {
  override get message(): string {
    return this.detail
  }
}

type Failure = MessageContentError | MessageStoreError | Conflict | NotFound | NotYours

/** A question, and the names its answer will have. The page makes them, so sending twice is once. */
export interface Question {
  readonly person: Person
  readonly chatId: ChatId
  readonly questionId: MessageId
  readonly messageId: MessageId
  readonly runId: RunId
  readonly text: string
}

/** An answer to be written anew, and the name of the new attempt. */
export interface Again {
  readonly person: Person
  readonly chatId: ChatId
  readonly messageId: MessageId
  readonly runId: RunId
}

export class Answers extends Context.Service<
  Answers,
  {
    readonly ask: (question: Question) => Effect.Effect<void, Failure>
    /** Writes an answer of one's own anew: the same message, a new run. */
    readonly regenerate: (again: Again) => Effect.Effect<void, Failure>
  }
>()("effect-cancellation-demo/Answers") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const content = yield* MessageContent
      const drafts = yield* Drafts
      const view = yield* ChatView
      const fibers = yield* FiberMap.make<string>()
      const context = yield* Effect.context<
        | MessageContent
        | MessageRepo
        | Drafts
        | LanguageModel.LanguageModel
        | Tool.HandlersFor<typeof toolkit.tools>
      >()

      const start = (run: Run, prompt: Prompt.Prompt) =>
        Agent.answer(prompt).pipe(
          Effect.provide(Agent.layer(run)),
          // From now on the store has it all.
          Effect.ensuring(drafts.remove(run)),
          Effect.catch((error) => Effect.logWarning(error.message)),
          Effect.catchDefect((defect) => Effect.logError("An answer failed", defect)),
          Effect.annotateLogs({ messageId: run.ref.messageId, runId: run.runId }),
          Effect.provideContext(context),
          FiberMap.run(fibers, runKey(run), { onlyIfMissing: true })
        )

      // What was said before a message, as the model is told of it.
      const historyBefore = Effect.fnUntraced(function* (chatId: ChatId, messageId: MessageId) {
        const messages = yield* view.stored(chatId)
        const index = messages.findIndex(({ ref }) => ref.messageId === messageId)
        const history = yield* ChatHistory.fromMessages(messages.slice(0, index), turnOf)
        return Prompt.setSystem(history, instructions)
      })

      // Or two who ask at the same time would both find that nothing runs.
      const chats = yield* RcMap.make({ lookup: (_: ChatId) => Semaphore.make(1) })
      const alone = <A, E, R>(chatId: ChatId, effect: Effect.Effect<A, E, R>) =>
        Effect.scoped(
          Effect.flatMap(RcMap.get(chats, chatId), (semaphore) => semaphore.withPermit(effect))
        )

      const createOnce = (message: NewMessage) =>
        content.create(message).pipe(
          Effect.as(true),
          Effect.catchReason("MessageContentError", "MessageExists", () => Effect.succeed(false))
        )

      const ask = Effect.fn("Answers.ask")(function* (question: Question) {
        const { chatId, messageId, person, questionId, runId, text } = question
        const { userId } = person
        const ref = MessageRef.make({ userId, chatId, messageId })
        const messages = yield* view.read(chatId)
        const same = messages.filter(
          (message) => message.messageId === messageId || message.messageId === questionId
        )
        const theirs = same.find((message) => message.userId !== userId)
        if (theirs !== undefined) return yield* nameTaken(theirs)
        if (same.some((message) => message.messageId === messageId)) return
        yield* refuseWhileRunning(messages, person)
        yield* createOnce(
          NewMessage.make({
            ref: MessageRef.make({ userId, chatId, messageId: questionId }),
            role: "user",
            text,
            setCompletedAt: true
          })
        )
        const isNew = yield* createOnce(NewMessage.make({ ref, role: "assistant", writer: runId }))
        if (isNew) yield* start(Run.make({ ref, runId }), yield* historyBefore(chatId, messageId))
        yield* drafts.stored(chatId)
      }, Effect.uninterruptible)

      const regenerate = Effect.fn("Answers.regenerate")(function* (again: Again) {
        const { chatId, messageId, person, runId } = again
        const { userId } = person
        const messages = yield* view.read(chatId)
        const index = messages.findIndex((message) => message.messageId === messageId)
        const message = messages[index]
        if (message === undefined) {
          return yield* new NotFound({
            detail: `There is no message ${messageId} in chat ${chatId}.`
          })
        }
        const question = messages
          .slice(0, index)
          .findLast((one) => one.role === "user" && one.userId === message.userId)
        if (message.role !== "assistant" || question === undefined) {
          return yield* new Conflict({ detail: `Message ${messageId} is not an answer.` })
        }
        if (message.userId !== userId) return yield* notYours(message)
        if (message.runId === runId) return
        yield* refuseWhileRunning(messages, person)
        const prompt = yield* historyBefore(chatId, messageId)
        const ref = MessageRef.make({ userId, chatId, messageId })
        yield* content.modify(MessageChange.make({ ref, reopen: true, writer: runId }))
        yield* start(Run.make({ ref, runId }), prompt)
        yield* drafts.stored(chatId)
      }, Effect.uninterruptible)

      return {
        ask: (question) => alone(question.chatId, ask(question)),
        regenerate: (again) => alone(again.chatId, regenerate(again))
      }
    })
  )
}

const instructions =
  "You are a small agent in a chat that shows how an agent is stopped. Answer in a few paragraphs of plain text, and use your tools before you answer."

// One answer at a time in a chat, whoever asked.
const refuseWhileRunning = (messages: ReadonlyArray<MessageView>, person: Person) => {
  const running = messages.find(({ state }) => state === "running")
  if (running === undefined) return Effect.void
  const name = running.userId === person.userId ? undefined : nameOf(running.userId)
  return new Conflict({
    detail:
      name === undefined
        ? "An answer is being written in this chat; stop it first."
        : `An answer to ${name} is being written in this chat; wait for its end.`
  })
}

const nameTaken = ({ messageId }: MessageView) =>
  new Conflict({ detail: `There is a message ${messageId} of somebody else in this chat.` })

const notYours = ({ userId }: MessageView) =>
  new NotYours({
    detail:
      userId === undefined
        ? "Nobody knows who asked for this answer, so it cannot be written anew."
        : `Only ${nameOf(userId)} can have this answer written anew.`
  })
