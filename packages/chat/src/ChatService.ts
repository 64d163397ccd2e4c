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

    /**
     * The text that this run has written into the message that is written now, stored or not yet.
     * What the message held before the run is not known here, and the first words replace it.
     */
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
     * what could not be stored goes with the next write, at the latest with the last one. After a
     * stop a refusal is no failure either: whoever stopped the run may have deleted the message. Nor
     * is then tried again what got no answer within `writeTimeout`: the end of the run stores it.
     */
    readonly saveAssistantMessage: (
      change: AssistantChange
    ) => Effect.Effect<void, MessageContentError>

    /**
     * Makes the next message of the same turn, and goes on to it. A stop of an earlier one still
     * counts. Fails with `AlreadyStopped`, and makes nothing, once the run is cancelled. A message
     * that an outage leaves in doubt is not gone on to, and completed at the end if it is there.
     */
    readonly createAssistantMessage: (
      message?: NewAssistantMessage
    ) => Effect.Effect<Message, MessageContentError | AlreadyStopped>

    /**
     * Lets the model speak, and stores its words as they come, after those that this run has written
     * into the message. At a stop it ends with what there is, and closes the model's connection. An
     * outage of the texts is no failure; a message that is not this run's any more ends it, unless it
     * is stopped anyway. It never sets `completedAt`. Tool calls are answered, not run: `AgentLoop`
     * runs them.
     */
    readonly streamComplete: <Tools extends Record<string, Tool.Any> = {}>(
      options: StreamCompleteOptions<Tools>
    ) => Effect.Effect<
      Completion,
      AiError.AiError | MessageContentError,
      LanguageModel.LanguageModel | Tool.ParametersEncodingServices<Tools[keyof Tools]>
    >

    /**
     * Ends the turn: runs what is to follow the answer, then sets `completedAt`, once, trying again
     * through an outage for `finalWriteTimeout`. After a stop nothing of it runs, and a stop meanwhile
     * interrupts it: then the answer is `None`, and the end of the run sets `completedAt`. Of a
     * message that is complete it runs nothing and fails with the reason `AlreadyCompleted`.
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
    Layer.effectContext(Effect.suspend(() => makeRun(options)))

  /**
   * The same for a run that is watched already, as a child run is. Provide it inside of the watcher's
   * layer, not merged with it, so that a last write that is lost ends the run as failed.
   */
  static readonly layerWatched = (
    options: WritingOptions = {}
  ): Layer.Layer<ChatService, never, CancellationWatcher | MessageContent> =>
    Layer.effect(
      this,
      Effect.suspend(() => makeWatched(options))
    )
}

interface WritingSettings {
  readonly saveInterval: Duration.Duration
  readonly writeTimeout: Duration.Duration
  readonly finalWriteTimeout: Duration.Duration
  readonly deadline: Duration.Duration | undefined
}

const settingsOf = ({
  deadline,
  finalWriteTimeout = "30 seconds",
  saveInterval = "1 second",
  writeTimeout = "5 seconds"
}: WritingOptions): Effect.Effect<WritingSettings> =>
  Effect.all({
    saveInterval: Setting.positive("saveInterval", saveInterval),
    writeTimeout: Setting.positive("writeTimeout", writeTimeout),
    finalWriteTimeout: Setting.positive("finalWriteTimeout", finalWriteTimeout),
    deadline: deadline === undefined ? Effect.undefined : Setting.positive("deadline", deadline)
  })

const make = Effect.fnUntraced(function* (
  watcher: CancellationWatcher["Service"],
  { finalWriteTimeout, saveInterval, writeTimeout }: WritingSettings
) {
  const content = yield* MessageContent
  const { ref, runId: writer } = yield* watcher.run
  const { isCancelled } = watcher
  const segments = makeSegments({
    content,
    ref,
    writer,
    isCancelled,
    writeTimeout,
    finalWriteTimeout
  })

  const refuseStopped = Effect.gen(function* () {
    if (yield* isCancelled) {
      return yield* new AlreadyStopped({ event: yield* watcher.cancellation })
    }
  })

  const createAssistantMessage = Effect.fn("ChatService.createAssistantMessage")(
    function* (message: NewAssistantMessage = {}) {
      yield* refuseStopped
      const { messageId = MessageId.make(globalThis.crypto.randomUUID()), ...fields } = message
      yield* segments.leave
      // A stop may have come while the store took its time.
      yield* refuseStopped
      const made = yield* segments.next(messageId, fields)
      // The store may have named it otherwise.
      yield* watcher.retarget(made.ref.messageId)
      return made
    },
    // A message that was made and is not watched could not be stopped.
    Effect.uninterruptible
  )

  const complete = Effect.fn("ChatService.complete")(function* <A, E, R>(
    postProcessing: Effect.Effect<A, E, R>
  ) {
    yield* segments.refuseCompleted
    const result = yield* watcher.runWithCancellation(postProcessing)
    if (Option.isNone(result)) return result
    // A stop ends the attempts, not a write under way.
    yield* Effect.raceFirst(Effect.asVoid(watcher.cancellation), segments.complete)
    return (yield* isCancelled) ? Option.none<A>() : result
  })

  const service = ChatService.of({
    cancellation: watcher,
    text: Effect.sync(() => segments.current().held.text ?? ""),
    modifyAssistantMessage: Effect.fn("ChatService.modifyAssistantMessage")(
      (change: AssistantChange) => Effect.suspend(() => segments.write(segments.current(), change))
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

const keepDeadline = (
  watcher: CancellationWatcher["Service"],
  { deadline }: WritingSettings
): Effect.Effect<void, never, Scope.Scope> =>
  deadline === undefined
    ? Effect.void
    : Effect.asVoid(
        Effect.forkScoped(Effect.andThen(Effect.sleep(deadline), watcher.cancel("deadline")))
      )

// The run has a scope of its own inside, so that it ends after the last write, and as failed if that
// write is lost. Begun, it is whole, so that there is a last write; the deadline ends before that.
const makeRun = Effect.fnUntraced(function* (options: ChatServiceOptions) {
  const settings = yield* settingsOf(options)
  const run = yield* Scope.make()
  let finish: Effect.Effect<void> = Effect.void
  yield* Effect.addFinalizer((exit) =>
    Effect.flatMap(Effect.exit(finish), (finished) =>
      Effect.andThen(
        Scope.close(run, Exit.isFailure(finished) ? finished : exit),
        endedBy(exit, finished)
      )
    )
  )
  const context = yield* Layer.buildWithScope(CancellationWatcher.layer(options), run)
  const watcher = Context.get(context, CancellationWatcher)
  const made = yield* make(watcher, settings)
  finish = made.finish
  yield* keepDeadline(watcher, settings)
  return Context.add(context, ChatService, made.service)
}, Effect.uninterruptible)

// A text that is lost must not hide why the program failed before that.
const endedBy = (exit: Exit.Exit<unknown, unknown>, finished: Exit.Exit<void>): Exit.Exit<void> =>
  Exit.isFailure(exit) ? Exit.void : finished

const makeWatched = Effect.fnUntraced(function* (options: WritingOptions) {
  const settings = yield* settingsOf(options)
  const watcher = yield* CancellationWatcher
  const { finish, service } = yield* make(watcher, settings)
  yield* Effect.addFinalizer((exit) =>
    Effect.flatMap(Effect.exit(finish), (finished) => endedBy(exit, finished))
  )
  yield* keepDeadline(watcher, settings)
  return service
}, Effect.uninterruptible)
