/**
 * Begins answers, keeps them running whoever looks, and asks them to stop.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import {
  CancellationWatcher,
  type ChatId,
  MessageChange,
  MessageContent,
  type MessageContentError,
  type MessageId,
  MessageRef,
  MessageRepo,
  type MessageStoreError,
  NewMessage,
  Run,
  type RunId,
  runKey,
  type StopReceipt
} from "effect-cancellation"
import { answer } from "./AgentLoop.ts"
import { ChatView } from "./ChatView.ts"
import { Draft } from "./Draft.ts"
import { Drafts } from "./Drafts.ts"
import type { ScriptedModel } from "./ScriptedModel.ts"
import type { Tools } from "./Tools.ts"

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

type Failure = MessageContentError | MessageStoreError | Conflict | NotFound

/** A question, and the names its answer will have. The page makes them, so sending twice is once. */
export interface Question {
  readonly chatId: ChatId
  readonly questionId: MessageId
  readonly messageId: MessageId
  readonly runId: RunId
  readonly text: string
}

export class Answers extends Context.Service<
  Answers,
  {
    readonly ask: (question: Question) => Effect.Effect<void, Failure>
    /** Writes an answer anew: the same message, a new run. */
    readonly regenerate: (run: Run) => Effect.Effect<void, Failure>
    readonly stop: (run: Run) => Effect.Effect<ReadonlyArray<StopReceipt>, Failure>
  }
>()("effect-cancellation-demo/Answers") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const content = yield* MessageContent
      const repo = yield* MessageRepo
      const drafts = yield* Drafts
      const view = yield* ChatView
      const fibers = yield* FiberMap.make<string>()
      const context = yield* Effect.context<
        MessageContent | MessageRepo | Drafts | ScriptedModel | Tools
      >()

      const start = (run: Run, question: string) => {
        // The draft is the inner one: the run ends when the text is saved, and as failed if it is not.
        const written = Effect.provide(answer(question), Draft.layer(run))
        return written.pipe(
          Effect.provide(
            CancellationWatcher.layer({ ref: run.ref, runId: run.runId, pollInterval: "1 second" })
          ),
          Effect.ensuring(drafts.stored(run.ref.chatId)),
          Effect.catch((error) => Effect.logWarning(error.message)),
          Effect.catchDefect((defect) => Effect.logError("An answer failed", defect)),
          Effect.annotateLogs({ messageId: run.ref.messageId, runId: run.runId }),
          Effect.provideContext(context),
          FiberMap.run(fibers, runKey(run), { onlyIfMissing: true })
        )
      }

      const refuseWhileRunning = (messages: ReadonlyArray<{ readonly state: string }>) =>
        messages.some(({ state }) => state === "running")
          ? new Conflict({ detail: "An answer is being written in this chat; stop it first." })
          : Effect.void

      const createOnce = (message: NewMessage) =>
        content.create(message).pipe(
          Effect.as(true),
          Effect.catchReason("MessageContentError", "MessageExists", () => Effect.succeed(false))
        )

      const ask = Effect.fn("Answers.ask")(function* (question: Question) {
        const { chatId, messageId, questionId, runId, text } = question
        const ref = MessageRef.make({ chatId, messageId })
        const messages = yield* view.read(chatId)
        if (messages.some((message) => message.messageId === messageId)) return
        yield* refuseWhileRunning(messages)
        yield* createOnce(
          NewMessage.make({
            ref: MessageRef.make({ chatId, messageId: questionId }),
            role: "user",
            text,
            setCompletedAt: true
          })
        )
        const isNew = yield* createOnce(NewMessage.make({ ref, role: "assistant", writer: runId }))
        if (isNew) yield* start(Run.make({ ref, runId }), text)
        yield* drafts.stored(chatId)
      }, Effect.uninterruptible)

      const regenerate = Effect.fn("Answers.regenerate")(function* (run: Run) {
        const { chatId, messageId } = run.ref
        const messages = yield* view.read(chatId)
        const index = messages.findIndex((message) => message.messageId === messageId)
        const message = messages[index]
        if (message === undefined) return yield* notFound(run)
        const question = messages.slice(0, index).findLast(({ role }) => role === "user")
        if (message.role !== "assistant" || question === undefined) {
          return yield* new Conflict({ detail: `Message ${messageId} is not an answer.` })
        }
        if (message.runId === run.runId) return
        yield* refuseWhileRunning(messages)
        yield* content.modify(MessageChange.make({ ref: run.ref, reopen: true, writer: run.runId }))
        yield* start(run, question.text)
        yield* drafts.stored(chatId)
      }, Effect.uninterruptible)

      const stop = Effect.fn("Answers.stop")(function* (run: Run) {
        const messages = yield* view.read(run.ref.chatId)
        if (!messages.some(({ messageId }) => messageId === run.ref.messageId)) {
          return yield* notFound(run)
        }
        const receipts = yield* repo.requestStop(run)
        yield* drafts.stored(run.ref.chatId)
        return receipts
      })

      return { ask, regenerate, stop }
    })
  )
}

const notFound = ({ ref }: Run) =>
  new NotFound({ detail: `There is no message ${ref.messageId} in chat ${ref.chatId}.` })
