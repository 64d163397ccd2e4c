/**
 * Ends a stream when its run is cancelled.
 *
 * The pull under way is interrupted, nothing that arrives after the stop is passed on, the source's
 * finalizers run, and the stream ends as if it were done: what was passed on so far stays.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type Cancellable,
  type CancellationTiming,
  interruptWithin,
  recordEnd,
  timingOf
} from "./internal/cancellable.ts"

/**
 * The type of `streamWithCancellation`, in both call styles; `W` is what it takes from the context.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamWithCancellation<W = never> {
  (
    options?: CancellationTiming
  ): <A, E, R>(stream: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R | W>
  <A, E, R>(
    stream: Stream.Stream<A, E, R>,
    options?: CancellationTiming
  ): Stream.Stream<A, E, R | W>
}

/** Binds the combinator to one watched run. */
export const makeStreamWithCancellation = (self: Cancellable): StreamWithCancellation =>
  streamBothStyles(self, whileRunning)

/** Gives a two-argument form its pipeable twin: one function, and no more, for each run. */
export const streamBothStyles = <S, W>(
  self: S,
  body: <A, E, R>(
    self: S,
    stream: Stream.Stream<A, E, R>,
    options: CancellationTiming
  ) => Stream.Stream<A, E, R | W>
): StreamWithCancellation<W> => {
  const both = <A, E, R>(
    first: Stream.Stream<A, E, R> | CancellationTiming = {},
    options: CancellationTiming = {}
  ) =>
    Stream.isStream(first)
      ? body(self, first, options)
      : (stream: Stream.Stream<A, E, R>) => body(self, stream, first)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a function has no overloads of its own
  return both as StreamWithCancellation<W>
}

const whileRunning = <A, E, R>(
  self: Cancellable,
  stream: Stream.Stream<A, E, R>,
  options: CancellationTiming
): Stream.Stream<A, E, R> =>
  Stream.suspend(() =>
    self.detection.isCancelledUnsafe() ? Stream.empty : cut(self, stream, options)
  )

const cut = <A, E, R>(
  self: Cancellable,
  stream: Stream.Stream<A, E, R>,
  options: CancellationTiming
): Stream.Stream<A, E, R> =>
  Stream.fromChannel(
    Channel.fromTransform((_, scope) =>
      Effect.gen(function* () {
        const { gracePeriod, pollInterval } = yield* timingOf(self, options)
        // A scope of its own, so that a stop closes the source even while its reader is busy.
        const source = yield* Scope.fork(scope)
        const pull = yield* Channel.toPullScoped(Stream.toChannel(stream), source)
        const pulls = makePulls(self, pull)
        if (pollInterval !== undefined) {
          yield* Effect.uninterruptible(
            Effect.andThen(
              self.watch.want(pollInterval),
              Scope.addFinalizer(scope, self.watch.unwant(pollInterval))
            )
          )
        }
        // One waiter a stream: one a pull would cost more than the pull.
        yield* self.detection.cancellation.pipe(
          Effect.andThen(pulls.end(gracePeriod)),
          Effect.andThen(Scope.close(source, Exit.void)),
          Effect.forkIn(scope, { startImmediately: true })
        )
        yield* Scope.addFinalizer(scope, pulls.close)
        return pulls
      }).pipe(Effect.map((pulls) => pulls.next))
    )
  )

const makePulls = <A, E, Done, R>(self: Cancellable, pull: Pull.Pull<A, E, Done, R>) => {
  type Ended = Exit.Exit<A, E | Cause.Done<Done>>
  let puller: Fiber.Fiber<never> | undefined
  let answer: ((exit: Ended) => void) | undefined
  let finish: (() => void) | undefined
  /** What was told with nobody waiting for it yet. */
  let arrived: Ended | undefined
  let pulling = false
  let isGivenUp = false
  /** Resumes the fiber of the pulls with what it is to do. */
  let wake: ((wanted: typeof pull) => void) | undefined
  let left = Deferred.makeUnsafe<void>()

  // In the step in which the pull ends: what it brought counts only if the flag is not set.
  const settle = (exit: Ended): Effect.Effect<A, E | Cause.Done<Done | void>> =>
    self.detection.isCancelledUnsafe() ? over : exit
  const over = Effect.andThen(
    Effect.suspend(() => {
      const event = self.detection.eventUnsafe()
      return event === undefined ? Effect.void : recordEnd(event)
    }),
    Cause.done()
  )

  const told = (exit: Ended): void => {
    pulling = false
    const tell = answer
    answer = undefined
    if (tell === undefined) arrived = exit
    else tell(exit)
  }

  const whenWanted: typeof pull = Effect.callback((resume) => {
    // This fiber may pause between its last look at what is wanted and here: look again.
    if (pulling) resume(pull)
    else wake = resume
  })

  // One fiber for all pulls: what the source forks in one of them lives until the stream ends.
  const pullForEver: Effect.Effect<never, never, R> = Effect.matchCauseEffect(whenWanted, {
    onSuccess: (value) => {
      told(Exit.succeed(value))
      return pullForEver
    },
    onFailure: (cause) => {
      told(Exit.failCause(cause))
      return pullForEver
    }
  })

  const start = Effect.uninterruptible(
    Effect.map(Effect.forkDetach(pullForEver, { startImmediately: true }), (fiber) => {
      puller = fiber
      // Interrupted in a pull, it ends without having told.
      fiber.addObserver((exit) => {
        if (Exit.isFailure(exit) && pulling) told(exit)
      })
    })
  )

  const next: Effect.Effect<A, E | Cause.Done<Done | void>, R> = Effect.suspend(() => {
    if (self.detection.isCancelledUnsafe()) return over
    if (puller === undefined) return Effect.andThen(start, next)
    pulling = true
    arrived = undefined
    const go = wake
    wake = undefined
    go?.(pull)
    // Of a source that has its elements already: nobody need wait.
    return arrived === undefined ? later : settle(arrived)
  })

  const later = Effect.callback<A, E | Cause.Done<Done | void>>((resume) => {
    if (arrived !== undefined) return resume(settle(arrived))
    if (isGivenUp) return resume(over)
    finish = () => resume(over)
    answer = (exit) => resume(settle(exit))
    left = Deferred.makeUnsafe()
    return Effect.suspend(() => {
      answer = undefined
      // Interrupted from outside: the reader waits for the pull, so nobody gives it up.
      Deferred.doneUnsafe(left, Effect.void)
      const fiber = puller
      // A reader may give up one pull and ask for the next, which takes a new fiber.
      puller = undefined
      pulling = false
      return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
    })
  })

  return {
    next,
    end: (gracePeriod: Cancellable["gracePeriod"]) =>
      Effect.suspend(() => {
        const fiber = puller
        if (fiber === undefined) return Effect.void
        if (!pulling || gracePeriod === undefined) return Fiber.interrupt(fiber)
        return Effect.andThen(
          Effect.raceFirst(interruptWithin(self, fiber, gracePeriod), Deferred.await(left)),
          Effect.sync(() => {
            isGivenUp = fiber.pollUnsafe() === undefined
            finish?.()
          })
        )
      }),
    // A pull that was given up is not waited for.
    close: Effect.suspend(() =>
      puller === undefined || isGivenUp ? Effect.void : Fiber.interrupt(puller)
    )
  }
}
