/**
 * What an agent program is written against: the message it writes, and the stop of its run.
 *
 * The scope of its layer is the run. When it closes, what is unsaved is written, `completedAt` is set
 * if nobody has set it yet, and only then the run ends in the store.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { AiError, LanguageModel, Tool } from "effect/ai"
import {
  CancellationWatcher,
  type CancellationWatcherOptions,
  type Message,
  MessageContent,
  type MessageContentError,
  MessageId,
  type MessageRepo,
  Setting
} from "effect-cancellation"
import type { AssistantChange, NewAssistantMessage } from "./AssistantMessage.ts"
import { AlreadyStopped } from "./AlreadyStopped.ts"
import type { Completion, StreamCompleteOptions } from "./Completion.ts"
import { makeSegments } from "./internal/segments.ts"
import { makeStreamComplete } from "./internal/streamComplete.ts"

/**
 * Settings of a run's writing. A value that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface WritingOptions {
  /** How often text that changed is stored while it comes. Default 1 second. */
  readonly saveInterval?: Duration.Input | undefined
  /** After this a write counts as failed and is not waited for. Default 5 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /** For how long the last write is tried again through an outage. Default 30 seconds. */
  readonly finalWriteTimeout?: Duration.Input | undefined
  /** Cancels the run, with the reason `deadline`, this long after it began. Default: never. */
  readonly deadline?: Duration.Input | undefined
}

/**
 * Settings of a run that writes a message.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatServiceOptions extends CancellationWatcherOptions, WritingOptions {}

/**
 * Writes one turn of the assistant, and stops when its run is to stop.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { LanguageModel } from "effect/ai"
 * import { MessageContent, MessageRef, MessageRepo } from "effect-cancellation"
 * import { ChatService } from "effect-cancellation-chat"
 *
 * const agent = Effect.gen(function* () {
 *   const chat = yield* ChatService
 *   const { stoppedByUser, text } = yield* chat.streamComplete({ prompt: "What is a fiber?" })
 *   if (stoppedByUser) return
 *   yield* chat.modifyAssistantMessage({ originalText: text })
 * })
 *
 * const ref = MessageRef.of({ chatId: "chat-1", messageId: "message-7" })
 * const run: Effect.Effect<
 *   void,
 *   unknown,
 *   LanguageModel.LanguageModel | MessageRepo | MessageContent
 * > = agent.pipe(Effect.provide(ChatService.layer({ ref })))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class ChatService extends Context.Service<
  ChatService,
  {
    /** The watcher of this run. */
    readonly cancellation: CancellationWatcher["Service"]

    /** What the message that is written now shows, stored or not yet. */
    readonly text: Effect.Effect<string>

    /**
     * Changes the message that is written now, and answers it as it is stored; fields that are not
     * given are left alone. Fails with the reason `AlreadyCompleted` after completion, and with
     * `NotTheWriter` once another run writes the message.
     */
    readonly modifyAssistantMessage: (
      change: AssistantChange
    ) => Effect.Effect<Message, MessageContentError>

    /**
     * The same for what need not be stored at once: it is tried now, an outage is no failure, and
     * what could not be stored goes with the next write, at the latest with the last one.
     */
    readonly saveAssistantMessage: (
      change: AssistantChange
    ) => Effect.Effect<void, MessageContentError>

    /**
     * Makes the next message of the same turn, and goes on to it. A stop of an earlier one still
     * counts. Fails with `AlreadyStopped`, and makes nothing, once the run is cancelled.
     */
    readonly createAssistantMessage: (
      message?: NewAssistantMessage
    ) => Effect.Effect<Message, MessageContentError | AlreadyStopped>

    /**
     * Lets the model speak, and stores its words as they come, after those that the message has.
     * At a stop it ends with what there is, and closes the model's connection. It never sets
     * `completedAt`. Tool calls are answered, not run: `AgentLoop` runs them.
     */
    readonly streamComplete: <Tools extends Record<string, Tool.Any> = {}>(
      options: StreamCompleteOptions<Tools>
    ) => Effect.Effect<
      Completion,
      AiError.AiError | MessageContentError,
      LanguageModel.LanguageModel | Tool.ParametersEncodingServices<Tools[keyof Tools]>
    >

    /**
     * Ends the turn: runs what is to follow the answer, then sets `completedAt`, once. After a stop
     * nothing of it runs, and a stop meanwhile interrupts it: then the answer is `None`, and the end
     * of the run sets `completedAt`.
     */
    readonly complete: <A, E, R>(
      postProcessing: Effect.Effect<A, E, R>
    ) => Effect.Effect<Option.Option<A>, E | MessageContentError, R>
  }
>()("effect-cancellation-chat/ChatService") {
  /** A run that writes this message, for as long as the layer's scope is open. */
  static readonly layer = (
    options: ChatServiceOptions
  ): Layer.Layer<ChatService | CancellationWatcher, never, MessageRepo | MessageContent> =>
    Layer.effectContext(makeRun(options))

  /** The same for a run that is watched already, as a child run is. */
  static readonly layerWatched = (
    options: WritingOptions = {}
  ): Layer.Layer<ChatService, never, CancellationWatcher | MessageContent> =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const watcher = yield* CancellationWatcher
        const { finish, service } = yield* make(watcher, options)
        yield* Effect.addFinalizer(() => finish)
        return service
      })
    )
}

const make = Effect.fnUntraced(function* (
  watcher: CancellationWatcher["Service"],
  options: WritingOptions
) {
  const saveInterval = yield* Setting.positive("saveInterval", options.saveInterval ?? "1 second")
  const writeTimeout = yield* Setting.positive("writeTimeout", options.writeTimeout ?? "5 seconds")
  const finalWriteTimeout = yield* Setting.positive(
    "finalWriteTimeout",
    options.finalWriteTimeout ?? "30 seconds"
  )
  if (options.deadline !== undefined) {
    const deadline = yield* Setting.positive("deadline", options.deadline)
    yield* Effect.forkScoped(Effect.andThen(Effect.sleep(deadline), watcher.cancel("deadline")))
  }
  const content = yield* MessageContent
  const { ref, runId: writer } = yield* watcher.run
  const segments = yield* makeSegments({ content, ref, writer, writeTimeout, finalWriteTimeout })

  const createAssistantMessage = Effect.fn("ChatService.createAssistantMessage")(
    function* (message: NewAssistantMessage = {}) {
      if (yield* watcher.isCancelled) {
        return yield* new AlreadyStopped({ event: yield* watcher.cancellation })
      }
      const { messageId = MessageId.make(globalThis.crypto.randomUUID()), ...fields } = message
      const made = yield* segments.next(messageId, fields)
      yield* watcher.retarget(messageId)
      return made
    },
    // A message that was made and is not watched could not be stopped.
    Effect.uninterruptible
  )

  const complete = Effect.fn("ChatService.complete")(function* <A, E, R>(
    postProcessing: Effect.Effect<A, E, R>
  ) {
    const result = yield* watcher.runWithCancellation(postProcessing)
    if (Option.isNone(result) || (yield* watcher.isCancelled)) return Option.none<A>()
    yield* segments.complete
    return result
  })

  const service = ChatService.of({
    cancellation: watcher,
    text: Effect.sync(() => segments.current().text),
    modifyAssistantMessage: Effect.fn("ChatService.modifyAssistantMessage")(
      (change: AssistantChange) => segments.write(segments.current(), change)
    ),
    saveAssistantMessage: Effect.fn("ChatService.saveAssistantMessage")((change: AssistantChange) =>
      Effect.suspend(() => {
        const segment = segments.current()
        segments.put(segment, change)
        return segments.save(segment)
      })
    ),
    createAssistantMessage,
    streamComplete: makeStreamComplete({ watcher, segments, saveInterval }),
    complete
  })
  return { service, finish: segments.finish }
})

// The run has a scope of its own inside, so that it ends after the last write, and as failed if that
// write is lost.
const makeRun = Effect.fnUntraced(function* (options: ChatServiceOptions) {
  const run = yield* Scope.make()
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      let finish: Effect.Effect<void> = Effect.void
      yield* Effect.addFinalizer((exit) =>
        Effect.flatMap(Effect.exit(finish), (finished) =>
          Effect.andThen(Scope.close(run, Exit.isFailure(finished) ? finished : exit), finished)
        )
      )
      const context = yield* restore(Layer.buildWithScope(CancellationWatcher.layer(options), run))
      const watcher = Context.get(context, CancellationWatcher)
      const made = yield* restore(make(watcher, options))
      finish = made.finish
      return Context.add(context, ChatService, made.service)
    })
  )
})
