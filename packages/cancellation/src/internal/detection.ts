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

export interface Detection {
  readonly isCancelled: Effect.Effect<boolean>
  readonly isCancelledUnsafe: () => boolean
  /** The event, `undefined` while there is none. */
  readonly eventUnsafe: () => CancellationEvent | undefined
  readonly cancellation: Effect.Effect<CancellationEvent>
  /** Called once, in the step; at once if it was taken before. Answers how to take it back. */
  readonly onStepUnsafe: (listener: () => void) => () => void
  readonly events: Stream.Stream<CancellationEvent>
  readonly abortSignal: Effect.Effect<AbortSignal>
  readonly onCancellation: <X, E, R>(
    handler: (event: CancellationEvent) => Effect.Effect<X, E, R>
  ) => Effect.Effect<void, never, R | Scope.Scope>
  /** Takes the step; false if it was taken before. Call it uninterruptibly, and `startHandlers` next. */
  readonly stepUnsafe: (event: CancellationEvent) => boolean
  /** Starts the handlers that the step found, each once; at once, or when this fiber pauses next. */
  readonly startHandlers: (startImmediately: boolean) => Effect.Effect<void>
  /** Waits for the handlers that are due, at most `handlerTimeout`. */
  readonly settled: Effect.Effect<void>
  /** Waits like `settled`, interrupts what still runs, and ends the streams of events. */
  readonly close: Effect.Effect<void>
}

export const makeDetection = (handlerTimeout: Duration.Duration): Detection => {
  const cancelled = Ref.makeUnsafe(false)
  const waiters = Deferred.makeUnsafe<CancellationEvent>()
  const handlers = new Set<Handler>()
  let event: CancellationEvent | undefined
  let closed = false
  let pubsub: PubSub.PubSub<CancellationEvent> | undefined
  let controller: AbortController | undefined
  // Made at the first listener: many runs have none.
  let listeners: Set<() => void> | undefined

  const stepUnsafe = (detected: CancellationEvent): boolean => {
    if (Ref.getUnsafe(cancelled)) return false
    MutableRef.set(cancelled.ref, true)
    event = detected
    // Taken before the waiters run: interrupted work closes the scopes of its handlers, and those
    // that are due must not be dropped by that.
    for (const handler of handlers) handler.state = "due"
    const told = listeners
    listeners = undefined
    told?.forEach((listener) => listener())
    Deferred.doneUnsafe(waiters, Effect.succeed(detected))
    if (pubsub !== undefined) PubSub.publishUnsafe(pubsub, detected)
    controller?.abort(abortError(detected))
    return true
  }

  const startHandler = (handler: Handler, detected: CancellationEvent, startImmediately: boolean) =>
    Effect.suspend(() => {
      if (handler.state === "started") return Effect.void
      handler.state = "started"
      const run = Effect.ensuring(
        Effect.suspend(() => {
          Deferred.doneUnsafe(handler.begun, Effect.void)
          return handler.run(detected)
        }),
        Effect.sync(() => {
          handlers.delete(handler)
          Deferred.doneUnsafe(handler.done, Effect.void)
        })
      )
      return Effect.map(Effect.forkDetach(run, { startImmediately }), (fiber) => {
        handler.fiber = fiber
      })
    })

  const dueHandlers = () => Array.from(handlers).filter(({ state }) => state !== "registered")

  const startHandlers = (startImmediately: boolean) =>
    Effect.suspend(() => {
      const detected = event
      if (detected === undefined || handlers.size === 0) return Effect.void
      return Effect.uninterruptible(
        Effect.forEach(
          dueHandlers(),
          (handler) => startHandler(handler, detected, startImmediately),
          { discard: true }
        )
      )
    })

  const waitFor = (due: ReadonlyArray<Handler>) => {
    const left = due.filter((handler) => handlers.has(handler))
    if (left.length === 0) return Effect.void
    // Interrupted work may come here within the step, before its handlers have started: their time
    // begins with them, however short it is.
    return Effect.forEach(left, (handler) => Deferred.await(handler.begun), { discard: true }).pipe(
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(
        Effect.timeoutOption(
          Effect.forEach(left, (handler) => Deferred.await(handler.done), { discard: true }),
          handlerTimeout
        )
      ),
      Effect.asVoid
    )
  }

  // A handler whose scope is gone must not run on behind it.
  const end = (due: ReadonlyArray<Handler>) =>
    Effect.andThen(
      waitFor(due),
      Effect.suspend(() => {
        const late = due.filter((handler) => handlers.delete(handler))
        for (const handler of late) handler.fiber?.interruptUnsafe()
        return late.length === 0
          ? Effect.void
          : Effect.logWarning("A cancellation handler took longer than handlerTimeout; interrupted")
      })
    )

  return {
    isCancelled: Ref.get(cancelled),
    isCancelledUnsafe: () => Ref.getUnsafe(cancelled),
    eventUnsafe: () => event,
    cancellation: Deferred.await(waiters),

    onStepUnsafe: (listener) => {
      if (event !== undefined) {
        listener()
        return constVoid
      }
      const added = (listeners ??= new Set())
      added.add(listener)
      return () => void added.delete(listener)
    },

    events: Stream.unwrap(
      Effect.suspend(() => {
        if (event !== undefined) return Effect.succeed(Stream.succeed(event))
        if (closed) return Effect.succeed(Stream.empty)
        return Effect.map(
          // Made at the first subscriber: it is 1.5 kB, and most runs have none.
          pubsub === undefined
            ? PubSub.bounded<CancellationEvent>({ capacity: 1, replay: 1 })
            : Effect.succeed(pubsub),
          (made) => {
            if (event !== undefined) return Stream.succeed(event)
            if (closed) return Stream.empty
            pubsub ??= made
            return Stream.take(Stream.fromPubSub(pubsub), 1)
          }
        )
      })
    ),

    abortSignal: Effect.sync(() => {
      if (controller === undefined) {
        controller = new AbortController()
        if (event !== undefined) controller.abort(abortError(event))
      }
      return controller.signal
    }),

    onCancellation: <X, E, R>(run: (event: CancellationEvent) => Effect.Effect<X, E, R>) =>
      Effect.contextWith((context: Context.Context<R>) => {
        const handler: Handler = {
          run: (detected) =>
            Effect.suspend(() => run(detected)).pipe(
              Effect.catchCause((cause) =>
                Effect.logWarning("A cancellation handler failed", cause)
              ),
              Effect.asVoid,
              Effect.provideContext(context)
            ),
          begun: Deferred.makeUnsafe(),
          done: Deferred.makeUnsafe(),
          state: "registered",
          fiber: undefined
        }
        const remove = Effect.suspend(() => {
          if (handler.state !== "registered") return end([handler])
          handlers.delete(handler)
          return Effect.void
        })
        const add = Effect.suspend(() => {
          handlers.add(handler)
          if (event === undefined) return Effect.void
          handler.state = "due"
          return startHandler(handler, event, true)
        })
        return Effect.uninterruptible(
          Effect.andThen(
            Effect.addFinalizer(() => remove),
            add
          )
        )
      }),

    stepUnsafe,
    startHandlers,
    settled: Effect.suspend(() => waitFor(dueHandlers())),
    close: Effect.suspend(() => {
      closed = true
      return Effect.andThen(
        end(dueHandlers()),
        Effect.suspend(() => {
          // One that is due was registered meanwhile; its own scope waits for it.
          for (const handler of handlers) {
            if (handler.state === "registered") handlers.delete(handler)
          }
          // With an event the streams end by themselves; a shutdown could take it from a slow one.
          return pubsub === undefined || event !== undefined ? Effect.void : PubSub.shutdown(pubsub)
        })
      )
    })
  }
}

const abortError = (event: CancellationEvent): Error => {
  const error = new Error(`The run was stopped (${event.request.reason})`, { cause: event })
  error.name = "AbortError"
  return error
}
