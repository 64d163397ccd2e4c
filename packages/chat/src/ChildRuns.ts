/**
 * Runs that a run has started: sub-agents, each with a message of its own.
 *
 * A stop goes down the tree and never up. Each child is a run with a watcher of its own, so that it
 * can be stopped alone, and ends by its own means when its parent is stopped: what it has written is
 * kept.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import {
  CancellationWatcher,
  type CancellationWatcherOptions,
  InvalidSetting,
  type MessageRef,
  messageKey,
  MessageRepo,
  type Run,
  Setting
} from "effect-cancellation"
import { annotations, passOn } from "./internal/passOn.ts"

/**
 * What becomes of a child when its parent is cancelled, for whatever reason: it is stopped too, or
 * goes on.
 *
 * @category models
 * @since 0.1.0
 */
export type OnParentStop = "stop" | "continue"

/**
 * Settings of a child that runs here. A value that cannot work kills the child with `InvalidSetting`,
 * and so does the `ref` of its parent: a child writes a message of its own.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChildRunOptions extends CancellationWatcherOptions {
  /** What becomes of it when its parent is cancelled. Default `stop`. */
  readonly onParentStop?: OnParentStop | undefined
}

/**
 * Settings of a child that runs elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export interface FollowOptions {
  /** What becomes of it when the parent is cancelled. Default `stop`; `continue` follows nothing. */
  readonly onParentStop?: OnParentStop | undefined
}

/**
 * The type of `run`, in both call styles; `W` is what it takes from the context, beside the parent.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunChild<W = never> {
  (
    options: ChildRunOptions
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | CancellationWatcher | W>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: ChildRunOptions
  ): Effect.Effect<A, E, R | CancellationWatcher | W>
}

const bothStyles = <W>(
  body: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: ChildRunOptions
  ) => Effect.Effect<A, E, R | CancellationWatcher | W>
): RunChild<W> => dual(2, body)

/**
 * Starts child runs, and passes a stop of their parent on to them.
 *
 * Provide it once, outside of the runs, like the repo: children that outlive their parent live in the
 * scope of its layer. A drain of the repo waits for them and cancels them with the others.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { MessageRef, Run, RunId } from "effect-cancellation"
 * import { AgentLoop, ChatService, ChildRuns } from "effect-cancellation-chat"
 *
 * declare const enqueue: (run: Run) => Effect.Effect<void>
 * const refOf = (messageId: string) => MessageRef.of({ chatId: "chat-1", messageId })
 *
 * const here = AgentLoop.run({ prompt: "Who was first?" }).pipe(
 *   Effect.provide(ChatService.layerWatched()),
 *   ChildRuns.run({ ref: refOf("message-8") })
 * )
 *
 * const elsewhere = Effect.gen(function* () {
 *   const run = Run.make({ ref: refOf("message-9"), runId: RunId.make("attempt-1") })
 *   yield* ChildRuns.follow(run)
 *   yield* enqueue(run)
 * })
 *
 * const parent = Effect.all([here, elsewhere]).pipe(
 *   Effect.provide(ChatService.layer({ ref: refOf("message-7") }))
 * )
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class ChildRuns extends Context.Service<
  ChildRuns,
  {
    /**
     * Runs an effect as a child of the run in the context, and answers what it answers. The effect
     * finds a `CancellationWatcher` of its own there; what else is bound to the parent's run, such as
     * its `ChatService`, it must provide anew. Layers that it provides are built anew for it.
     *
     * When the parent is cancelled, a child that is to stop is cancelled with the reason `parent`, or
     * begins so; with `shutdown` if that is the parent's, for it is their process's. It is not
     * interrupted: it must look at its watcher, as `runWithCancellation` and `AgentLoop` do. The
     * caller waits for its end, even if it is interrupted itself. With a `gracePeriod` it waits for
     * that and the `handlerTimeout`; then the child is interrupted and left behind.
     *
     * A child that is to continue is left to itself if its caller is interrupted after that, so it
     * must bring what it needs and its caller's scopes would close. Its failure is logged then.
     *
     * An interruption while the parent is not cancelled (a timeout, a closing runtime) ends either
     * kind of child by interruption, and is waited for. A stop of the child leaves the parent alone.
     */
    readonly run: RunChild

    /**
     * While the scope is open, passes a cancellation of the run in the context on to a run in another
     * process: a stop with the reason `parent`, and by the same person. It is asked for again until
     * the store has it; closing the scope waits for that, at most the parent's `handlerTimeout`.
     *
     * Follow a run first and start it then. A stop waits in the store for a run that has not begun,
     * for as long as the store keeps it (30 seconds by default). If the parent is cancelled already,
     * the stop has been asked for once when this returns. An interruption asks for nothing.
     */
    readonly follow: (
      run: Run,
      options?: FollowOptions
    ) => Effect.Effect<void, never, CancellationWatcher | Scope.Scope>
  }
>()("effect-cancellation-chat/ChildRuns") {
  /** Children of runs of the repo in the context. Closing it interrupts those that are left, and waits. */
  static readonly layer: Layer.Layer<ChildRuns, never, MessageRepo> = Layer.effect(
    this,
    Effect.suspend(() => make)
  )

  /** Runs an effect as a child of the run in the context. */
  static readonly run: RunChild<ChildRuns> = bothStyles((effect, options) =>
    this.use((children) => children.run(effect, options))
  )

  /** Passes a cancellation of the run in the context on to a run in another process. */
  static readonly follow = (
    run: Run,
    options?: FollowOptions
  ): Effect.Effect<void, never, ChildRuns | CancellationWatcher | Scope.Scope> =>
    this.use((children) => children.follow(run, options))
}

const make = Effect.gen(function* () {
  const repo = yield* MessageRepo
  // Parallel: one child that takes its time to end must not keep the others running.
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")

  const runChild = <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: ChildRunOptions
  ): Effect.Effect<A, E, R | CancellationWatcher> =>
    Effect.gen(function* () {
      const parent = yield* CancellationWatcher
      yield* refuseRefOf(parent, options.ref)
      const patience = yield* patienceOf(options)
      const continues = options.onParentStop === "continue"
      let unheard = false

      const child = effect.pipe(
        Effect.provide(
          continues ? watched(repo, options) : stoppedWith(parent, watched(repo, options)),
          // Memoized layers are those of the parent, with the parent's watcher in them.
          { local: true }
        ),
        Effect.tapCause((cause) =>
          unheard && !Cause.hasInterruptsOnly(cause)
            ? failedUnheard(options.ref, cause)
            : Effect.void
        )
      )

      const letGo = (fiber: Fiber.Fiber<A, E>) =>
        Effect.flatMap(parent.isCancelled, (isCancelled) => {
          if (!isCancelled) return Fiber.interrupt(fiber)
          unheard = true
          return continues ? Effect.void : endOf(fiber, patience, options.ref)
        })

      // In a fiber of its own, which no stop of the parent interrupts. Nothing comes between its
      // start and the wait for it.
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.forkIn(child, scope), (fiber) =>
          restore(Fiber.await(fiber)).pipe(
            Effect.onInterrupt(() => letGo(fiber)),
            Effect.flatten
          )
        )
      )
    })

  return ChildRuns.of({
    run: bothStyles(runChild),
    follow: Effect.fnUntraced(function* (run, options) {
      if (options?.onParentStop === "continue") return
      const parent = yield* CancellationWatcher
      const asked = yield* Deferred.make<void>()
      yield* parent.onCancellation((event) => passOn(repo, run, event, asked))
      if (yield* parent.isCancelled) yield* Deferred.await(asked)
    })
  })
})

const watched = (
  repo: MessageRepo["Service"],
  options: CancellationWatcherOptions
): Layer.Layer<CancellationWatcher> =>
  Layer.provide(CancellationWatcher.layer(options), Layer.succeed(MessageRepo, repo))

const stoppedWith = (
  parent: CancellationWatcher["Service"],
  watchedChild: Layer.Layer<CancellationWatcher>
): Layer.Layer<CancellationWatcher> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const child = yield* CancellationWatcher
      // At once if the parent is cancelled already: the child begins after this.
      yield* parent.onCancellation(({ request: { reason } }) =>
        // A shutdown is the process's: a drain tells each run of it, and some before their parents.
        child.cancel(reason === "shutdown" ? reason : "parent")
      )
    })
  ).pipe(Layer.provideMerge(watchedChild))

// Both runs would be attempts at one message, and a stop of it would reach the child only.
const refuseRefOf = (parent: CancellationWatcher["Service"], ref: MessageRef) =>
  Effect.flatMap(parent.run, (run) =>
    messageKey(run.ref) === messageKey(ref)
      ? Effect.die(
          new InvalidSetting({
            option: "ref",
            value: `message ${ref.messageId}, which the parent writes`,
            range: "a message of the child's own"
          })
        )
      : Effect.void
  )

/** How long the end of a stopped child is waited for; `undefined` for as long as it takes. */
const patienceOf = Effect.fnUntraced(function* (options: CancellationWatcherOptions) {
  if (options.gracePeriod === undefined) return undefined
  return Duration.sum(
    yield* Setting.notNegative("gracePeriod", options.gracePeriod),
    yield* Setting.notNegative("handlerTimeout", options.handlerTimeout ?? "5 seconds")
  )
})

const endOf = (
  child: Fiber.Fiber<unknown, unknown>,
  patience: Duration.Duration | undefined,
  ref: MessageRef
): Effect.Effect<unknown> =>
  patience === undefined
    ? Fiber.await(child)
    : Effect.flatMap(Effect.timeoutOption(Fiber.await(child), patience), (ended) => {
        if (Option.isSome(ended)) return Effect.void
        child.interruptUnsafe()
        return Effect.logWarning(
          "A child run did not end in time after its parent was stopped; it is interrupted and not waited for"
        ).pipe(Effect.annotateLogs(annotations(ref)))
      })

// Its caller is interrupted, so that nobody else hears of it.
const failedUnheard = (ref: MessageRef, cause: Cause.Cause<unknown>) =>
  Effect.logWarning("A child run failed after its parent was stopped", cause).pipe(
    Effect.annotateLogs(annotations(ref))
  )
