/**
 * One run's view of its cancellation: what a program uses.
 *
 * A run is the scope of its layer. Building it queues the start in the store and a first look, and
 * waits for neither; closing it waits for handlers that are due and writes how the run ended.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CancellationEvent } from "./CancellationEvent.ts"
import type { Cancellable } from "./internal/cancellable.ts"
import { Detection } from "./internal/detection.ts"
import { afterRest } from "./internal/inSteps.ts"
import { notNegative, positive } from "./Setting.ts"
import { type MessageId, MessageRef, Run, RunId } from "./Message.ts"
import { MessageRepo } from "./MessageRepo.ts"
import {
  bothStyles,
  makeRunWithCancellation,
  type RunWithCancellation
} from "./runWithCancellation.ts"
import type { RunOutcome, StopReason } from "./StopRequest.ts"
import {
  makeStreamWithCancellation,
  streamBothStyles,
  type StreamWithCancellation
} from "./streamWithCancellation.ts"

/**
 * Settings of a run. A value that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CancellationWatcherOptions {
  /** The message that is written. */
  readonly ref: MessageRef
  /**
   * Names the attempt. A queue that delivers the same job again passes the same id, and finds a stop
   * that came before; writing the message anew takes a new one. Default: a new random one.
   */
  readonly runId?: RunId | undefined
  /** How often the store is asked when no hint comes. Default 2 seconds. */
  readonly pollInterval?: Duration.Input | undefined
  /**
   * How long a `check` or the end of the run waits for handlers that are due. What still runs when
   * the run ends is then interrupted. Default 5 seconds.
   */
  readonly handlerTimeout?: Duration.Input | undefined
  /** Gives up work that is not over this long after its interrupt. Default: waits for it. */
  readonly gracePeriod?: Duration.Input | undefined
}

/**
 * Watches one run.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CancellationWatcher, MessageRef } from "effect-cancellation"
 *
 * const agent = Effect.gen(function* () {
 *   const watcher = yield* CancellationWatcher
 *   while (true) {
 *     if (yield* watcher.check) break
 *     yield* Effect.sleep("1 second").pipe(
 *       watcher.runWithCancellation({ cancelResult: undefined })
 *     )
 *   }
 * })
 *
 * const ref = MessageRef.of({ chatId: "chat-1", messageId: "message-7" })
 * const program = agent.pipe(Effect.provide(CancellationWatcher.layer({ ref })))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class CancellationWatcher extends Context.Service<
  CancellationWatcher,
  {
    /** The run and message watched now. */
    readonly run: Effect.Effect<Run>
    /**
     * Asks the store once, now: true if the run is cancelled. Never fails: if the store does not
     * answer within the repo's `pollTimeout` the answer is what is known. While the run's start is on its
     * way it waits for that, since a stop that came first is in its answer. Synchronous when the store
     * is: `Effect.runSync` waits for no start.
     */
    readonly check: Effect.Effect<boolean>
    /** True if the run is cancelled, as far as is known; reads a `Ref`, asks nobody. */
    readonly isCancelled: Effect.Effect<boolean>
    /** Waits for the cancellation. */
    readonly cancellation: Effect.Effect<CancellationEvent>
    /** The cancellation as a stream: at most one event, late subscribers included, then its end. */
    readonly events: Stream.Stream<CancellationEvent>
    /**
     * Runs a handler once when the run is cancelled, or at once if it is already. The work is
     * interrupted first; a handler that fails is logged. Closing the scope removes the handler, or
     * waits for it if it is due, at most `handlerTimeout`.
     */
    readonly onCancellation: <X, E, R>(
      handler: (event: CancellationEvent) => Effect.Effect<X, E, R>
    ) => Effect.Effect<void, never, R | Scope.Scope>
    /** Runs work that a stop interrupts; see the module `runWithCancellation`. */
    readonly runWithCancellation: RunWithCancellation
    /** Ends a stream when the run is cancelled; see the module `streamWithCancellation`. */
    readonly streamWithCancellation: StreamWithCancellation
    /**
     * A signal for code that takes one. Made on first use; its reason is an `AbortError` whose
     * `cause` is the event. A listener that throws is the program's own uncaught error.
     */
    readonly abortSignal: Effect.Effect<AbortSignal>
    /** Cancels from inside: a deadline, a parent, a shutdown. Writes nothing until the run ends. */
    readonly cancel: (reason: StopReason) => Effect.Effect<void>
    /**
     * Goes on to the next message of the same turn, in the same chat. All messages of the turn stay
     * watched. Does nothing once the run is cancelled.
     */
    readonly retarget: (messageId: MessageId) => Effect.Effect<void>
  }
>()("effect-cancellation/CancellationWatcher") {
  /** A run of this message, for as long as the layer's scope is open. */
  static readonly layer = (
    options: CancellationWatcherOptions
  ): Layer.Layer<CancellationWatcher, never, MessageRepo> => Layer.effect(this, make(options))

  /** The run and message watched now. */
  static readonly run = this.use((watcher) => watcher.run)
  /** Asks the store once, now. */
  static readonly check = this.use((watcher) => watcher.check)
  /** Reads the flag. */
  static readonly isCancelled = this.use((watcher) => watcher.isCancelled)
  /** Waits for the cancellation. */
  static readonly cancellation = this.use((watcher) => watcher.cancellation)
  /** The cancellation as a stream. */
  static readonly events = Stream.unwrap(this.useSync((watcher) => watcher.events))
  /** The cancellation as a signal. */
  static readonly abortSignal = this.use((watcher) => watcher.abortSignal)
  /** Runs a handler once when the run is cancelled. */
  static readonly onCancellation = <X, E, R>(
    handler: (event: CancellationEvent) => Effect.Effect<X, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope | CancellationWatcher> =>
    this.use((watcher) => watcher.onCancellation(handler))
  /** Cancels from inside. */
  static readonly cancel = (reason: StopReason): Effect.Effect<void, never, CancellationWatcher> =>
    this.use((watcher) => watcher.cancel(reason))
  /** Goes on to the next message of the same turn. */
  static readonly retarget = (
    messageId: MessageId
  ): Effect.Effect<void, never, CancellationWatcher> =>
    this.use((watcher) => watcher.retarget(messageId))
  /** Runs work that a stop interrupts. */
  static readonly runWithCancellation: RunWithCancellation<CancellationWatcher> = bothStyles(
    this,
    (service, effect, options) =>
      service.use((watcher) => watcher.runWithCancellation(effect, options))
  )
  /** Ends a stream when the run is cancelled. */
  static readonly streamWithCancellation: StreamWithCancellation<CancellationWatcher> =
    streamBothStyles(this, (service, stream, options) =>
      Stream.unwrap(service.useSync((watcher) => watcher.streamWithCancellation(stream, options)))
    )
}

interface Timing {
  readonly pollInterval: Duration.Duration
  readonly handlerTimeout: Duration.Duration
  readonly gracePeriod: Duration.Duration | undefined
}

const defaults: Timing = {
  pollInterval: Duration.seconds(2),
  handlerTimeout: Duration.seconds(5),
  gracePeriod: undefined
}

const timingOfRun = ({
  gracePeriod,
  handlerTimeout,
  pollInterval
}: CancellationWatcherOptions): Effect.Effect<Timing> =>
  Effect.all({
    pollInterval:
      pollInterval === undefined
        ? Effect.succeed(defaults.pollInterval)
        : positive("pollInterval", pollInterval),
    handlerTimeout:
      handlerTimeout === undefined
        ? Effect.succeed(defaults.handlerTimeout)
        : notNegative("handlerTimeout", handlerTimeout),
    gracePeriod:
      gracePeriod === undefined ? Effect.undefined : notNegative("gracePeriod", gracePeriod)
  })

const make = (options: CancellationWatcherOptions) =>
  Effect.contextWith((context: Context.Context<MessageRepo | Scope.Scope>) =>
    options.pollInterval === undefined &&
    options.handlerTimeout === undefined &&
    options.gracePeriod === undefined
      ? open(options, defaults, context)
      : Effect.flatMap(timingOfRun(options), (timing) => open(options, timing, context))
  )

const stopped = Effect.succeed(true)
const running = Effect.succeed(false)

const open = (
  options: CancellationWatcherOptions,
  { gracePeriod, handlerTimeout, pollInterval }: Timing,
  context: Context.Context<MessageRepo | Scope.Scope>
): Effect.Effect<CancellationWatcher["Service"]> => {
  const detection = new Detection(handlerTimeout)
  const run = runOf(options)
  const watch = Context.get(context, MessageRepo).watch({ run, pollInterval, detection, context })
  let isAbandoned = false
  const cancellable: Cancellable = {
    detection,
    watch,
    gracePeriod,
    abandon: () => {
      isAbandoned = true
    }
  }
  const answer = () =>
    detection.isCancelledUnsafe() ? Effect.as(detection.settled, true) : running
  const service = CancellationWatcher.of({
    run: watch.run,
    check: Effect.suspend(() => (detection.isCancelledUnsafe() ? stopped : watch.look(answer))),
    isCancelled: detection.isCancelled,
    cancellation: detection.cancellation,
    events: detection.events,
    onCancellation: (handler) => detection.onCancellation(handler),
    abortSignal: detection.abortSignal,
    runWithCancellation: makeRunWithCancellation(cancellable),
    streamWithCancellation: makeStreamWithCancellation(cancellable),
    cancel: (reason) => watch.cancel(reason),
    retarget: (messageId) => watch.retarget(messageId)
  })

  const close = (exit: Exit.Exit<unknown, unknown>) =>
    watch.close(outcomeOf(exit, detection.eventUnsafe(), isAbandoned))
  // In this order: a scope that is closed by now ends the run at once.
  const toBeClosed = Scope.addFinalizerExit(Context.get(context, Scope.Scope), close)
  return Effect.uninterruptible(
    Effect.suspend(() => afterRest(watch.open(), () => toBeClosed))
  ).pipe(Effect.as(service))
}

const runOf = ({ ref, runId }: CancellationWatcherOptions): Run =>
  runId === undefined && ref instanceof MessageRef
    ? // Checked when it was made, and a UUID needs no check.
      new Run({ ref, runId: RunId.make(globalThis.crypto.randomUUID(), unchecked) }, unchecked)
    : Run.make({ ref, runId: runId ?? RunId.make(globalThis.crypto.randomUUID()) })

const unchecked = { disableChecks: true }

// Whoever asked for the stop wanted the run stopped; a deadline or a shutdown befell it.
const circumstances: ReadonlyArray<StopReason> = ["deadline", "shutdown", "deleted", "unreachable"]

const outcomeOf = (
  exit: Exit.Exit<unknown, unknown>,
  event: CancellationEvent | undefined,
  abandoned: boolean
): RunOutcome => {
  if (abandoned) return "abandoned"
  if (event !== undefined) {
    return circumstances.includes(event.request.reason) ? "interrupted" : "stopped"
  }
  if (Exit.isSuccess(exit)) return "completed"
  return Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "failed"
}
