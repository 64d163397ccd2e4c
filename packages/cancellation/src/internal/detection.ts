/**
 * The one step in which a run becomes cancelled. Nothing else sets its flag, event or signal.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as MutableRef from "effect/MutableRef"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CancellationEvent } from "../CancellationEvent.ts"

interface Handler {
  readonly run: (event: CancellationEvent) => Effect.Effect<void>
  readonly begun: Deferred.Deferred<void>
  readonly done: Deferred.Deferred<void>
  state: "registered" | "due" | "started"
  fiber: Fiber.Fiber<void> | undefined
}

/**
 * What is known of the stop of one run. A class, because there is one for each run: with ten thousand
 * of them, functions of their own would be most of what a watcher takes.
 */
export class Detection {
  /** Reads the flag. */
  readonly isCancelled: Effect.Effect<boolean>
  private readonly flag = Ref.makeUnsafe(false)
  private waiters: Set<(event: CancellationEvent) => void> | undefined
  private readonly handlerTimeout: Duration.Duration
  private event: CancellationEvent | undefined
  private closed = false
  // What most runs never need is made at its first use.
  private handlers: Set<Handler> | undefined
  private listener: (() => void) | undefined
  private otherListeners: Set<() => void> | undefined
  private pubsub: PubSub.PubSub<CancellationEvent> | undefined
  private controller: AbortController | undefined

  constructor(handlerTimeout: Duration.Duration) {
    this.handlerTimeout = handlerTimeout
    this.isCancelled = Ref.get(this.flag)
  }

  isCancelledUnsafe(): boolean {
    return Ref.getUnsafe(this.flag)
  }

  /** The event, `undefined` while there is none. */
  eventUnsafe(): CancellationEvent | undefined {
    return this.event
  }

  /** Waits for the event. */
  get cancellation(): Effect.Effect<CancellationEvent> {
    // No `Deferred`, whose waiters are told one by one until one of them throws.
    return Effect.callback<CancellationEvent>((resume) => {
      const tell = (event: CancellationEvent) => resume(Effect.succeed(event))
      if (this.event !== undefined) return tell(this.event)
      const waiters = (this.waiters ??= new Set())
      waiters.add(tell)
      return Effect.sync(() => void waiters.delete(tell))
    })
  }

  /** Called once, in the step; at once if it was taken before. Answers how to take it back. */
  onStepUnsafe(listener: () => void): () => void {
    if (this.event !== undefined) {
      listener()
      return constVoid
    }
    // Mostly one: a `Set` for it would be the largest part of a run.
    if (this.listener === undefined) {
      this.listener = listener
      return () => {
        if (this.listener === listener) this.listener = undefined
      }
    }
    const others = (this.otherListeners ??= new Set())
    others.add(listener)
    return () => void others.delete(listener)
  }

  /** Takes the step, if it was not taken before. Call it uninterruptibly, and `startHandlers` next. */
  stepUnsafe(detected: CancellationEvent): void {
    if (Ref.getUnsafe(this.flag)) return
    MutableRef.set(this.flag.ref, true)
    this.event = detected
    // Taken before the waiters run: interrupted work closes the scopes of its handlers, and those
    // that are due must not be dropped by that.
    this.handlers?.forEach((handler) => {
      handler.state = "due"
    })
    const { listener, otherListeners } = this
    this.listener = undefined
    this.otherListeners = undefined
    if (listener !== undefined) apart(listener)
    otherListeners?.forEach(apart)
    const { pubsub, waiters } = this
    this.waiters = undefined
    waiters?.forEach((tell) => apart(() => tell(detected)))
    if (pubsub !== undefined) apart(() => PubSub.publishUnsafe(pubsub, detected))
    this.controller?.abort(abortError(detected))
  }

  /** At most one event, late subscribers included. */
  get events(): Stream.Stream<CancellationEvent> {
    return Stream.unwrap(
      Effect.suspend(() => {
        if (this.event !== undefined) return Effect.succeed(Stream.succeed(this.event))
        if (this.closed) return Effect.succeed(Stream.empty)
        return Effect.map(
          this.pubsub === undefined
            ? PubSub.bounded<CancellationEvent>({ capacity: 1, replay: 1 })
            : Effect.succeed(this.pubsub),
          (made) => {
            if (this.event !== undefined) return Stream.succeed(this.event)
            if (this.closed) return Stream.empty
            this.pubsub ??= made
            return Stream.take(Stream.fromPubSub(this.pubsub), 1)
          }
        )
      })
    )
  }

  get abortSignal(): Effect.Effect<AbortSignal> {
    return Effect.sync(() => {
      if (this.controller === undefined) {
        this.controller = new AbortController()
        if (this.event !== undefined) this.controller.abort(abortError(this.event))
      }
      return this.controller.signal
    })
  }

  onCancellation<X, E, R>(
    run: (event: CancellationEvent) => Effect.Effect<X, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope> {
    return Effect.contextWith((context: Context.Context<R>) => {
      const handler: Handler = {
        run: (detected) =>
          Effect.suspend(() => run(detected)).pipe(
            Effect.catchCause((cause) => Effect.logWarning("A cancellation handler failed", cause)),
            Effect.asVoid,
            // In place of the finder's, and not beside it: to merge the two is much of what a stop takes.
            Effect.updateContext((_: Context.Context<never>) => context)
          ),
        begun: Deferred.makeUnsafe(),
        done: Deferred.makeUnsafe(),
        state: "registered",
        fiber: undefined
      }
      const remove = Effect.suspend(() => {
        if (handler.state !== "registered") return this.end([handler])
        this.handlers?.delete(handler)
        return Effect.void
      })
      const add = Effect.suspend(() => {
        this.handlers ??= new Set()
        this.handlers.add(handler)
        if (this.event === undefined) return Effect.void
        handler.state = "due"
        return this.startHandler(handler, this.event, true)
      })
      return Effect.uninterruptible(
        Effect.andThen(
          Effect.addFinalizer(() => remove),
          add
        )
      )
    })
  }

  /**
   * Starts the handlers that the step found, each once; for a check at once, else when this fiber
   * pauses next. A step; call it uninterruptibly.
   */
  startHandlers(): Effect.Effect<void> {
    const detected = this.event
    if (detected === undefined || this.handlers === undefined) return Effect.void
    return Effect.forEach(
      this.dueHandlers(),
      (handler) => this.startHandler(handler, detected, detected.detectedBy === "check"),
      { discard: true }
    )
  }

  /** Waits for the handlers that are due, at most `handlerTimeout`. */
  get settled(): Effect.Effect<void> {
    return Effect.suspend(() => this.waitFor(this.dueHandlers()))
  }

  /** Waits like `settled`, interrupts what still runs, and ends the streams of events; a step. */
  close(): Effect.Effect<void> {
    this.closed = true
    if (this.handlers === undefined && this.pubsub === undefined) return Effect.void
    return Effect.andThen(
      this.end(this.dueHandlers()),
      Effect.suspend(() => {
        // One that is due was registered meanwhile; its own scope waits for it.
        this.handlers?.forEach((handler) => {
          if (handler.state === "registered") this.handlers?.delete(handler)
        })
        // With an event the streams end by themselves; a shutdown could take it from a slow one.
        return this.pubsub === undefined || this.event !== undefined
          ? Effect.void
          : PubSub.shutdown(this.pubsub)
      })
    )
  }

  private dueHandlers(): ReadonlyArray<Handler> {
    return Array.from(this.handlers ?? []).filter(({ state }) => state !== "registered")
  }

  private startHandler(handler: Handler, detected: CancellationEvent, startImmediately: boolean) {
    if (handler.state === "started") return Effect.void
    handler.state = "started"
    const run = Effect.ensuring(
      Effect.suspend(() => {
        Deferred.doneUnsafe(handler.begun, Effect.void)
        return handler.run(detected)
      }),
      Effect.sync(() => {
        this.handlers?.delete(handler)
        Deferred.doneUnsafe(handler.done, Effect.void)
      })
    )
    return Effect.map(Effect.forkDetach(run, { startImmediately }), (fiber) => {
      handler.fiber = fiber
    })
  }

  private waitFor(due: ReadonlyArray<Handler>) {
    const left = due.filter((handler) => this.handlers?.has(handler))
    if (left.length === 0) return Effect.void
    // Interrupted work may come here within the step, before its handlers have started: their time
    // begins with them, however short it is.
    return Effect.forEach(left, (handler) => Deferred.await(handler.begun), { discard: true }).pipe(
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(Effect.suspend(() => this.waitForDone(left)))
    )
  }

  // Most are done by now, and need no timer.
  private waitForDone(begun: ReadonlyArray<Handler>): Effect.Effect<void> {
    const left = begun.filter((handler) => this.handlers?.has(handler))
    if (left.length === 0) return Effect.void
    return Effect.asVoid(
      Effect.timeoutOption(
        Effect.forEach(left, (handler) => Deferred.await(handler.done), { discard: true }),
        this.handlerTimeout
      )
    )
  }

  // A handler whose scope is gone must not run on behind it.
  private end(due: ReadonlyArray<Handler>) {
    return Effect.andThen(
      this.waitFor(due),
      Effect.suspend(() => {
        const late = due.filter((handler) => this.handlers?.delete(handler))
        for (const handler of late) handler.fiber?.interruptUnsafe()
        return late.length === 0
          ? Effect.void
          : Effect.logWarning("A cancellation handler took longer than handlerTimeout; interrupted")
      })
    )
  }
}

// An observer of a fiber that ends within the step may throw. That is the program's own uncaught error,
// as of a listener on the signal, and keeps nobody else from being told.
const apart = (tell: () => unknown): void => {
  try {
    tell()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

const abortError = (event: CancellationEvent): Error => {
  const error = new Error(`The run was stopped (${event.request.reason})`, { cause: event })
  error.name = "AbortError"
  return error
}
