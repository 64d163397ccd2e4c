/**
 * Runs work that a stop interrupts.
 *
 * The work is raced against the cancellation of the run, as `Effect.raceFirst` does it, but with no
 * fiber for the other side. The flag decides: it is looked at before the work starts and in the same
 * step as it ends. If it is set, the cancel result stands, whatever the work returned or failed with;
 * if not, the work's own result does.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import type { CancellationEvent } from "./CancellationEvent.ts"
import {
  type Cancellable,
  type CancellationTiming,
  interruptWithin,
  recordEnd,
  type Timing,
  timingOf
} from "./internal/cancellable.ts"

export type { CancellationTiming } from "./internal/cancellable.ts"

/**
 * Falls back to a value when the run is cancelled; `undefined` is a value too.
 *
 * @category models
 * @since 0.1.0
 */
export interface WithCancelResult<B> extends CancellationTiming {
  readonly cancelResult: B
}

/**
 * Runs an effect when the run is cancelled, after the work's finalizers and outside the race.
 *
 * @category models
 * @since 0.1.0
 */
export interface WithOnCancelled<B, E2, R2> extends CancellationTiming {
  readonly onCancelled: (event: CancellationEvent) => Effect.Effect<B, E2, R2>
}

/**
 * Any value: the union keeps the literal type of a `cancelResult` written in place.
 *
 * @category models
 * @since 0.1.0
 */
export type CancelResult =
  | string
  | number
  | bigint
  | boolean
  | symbol
  | object
  | {}
  | null
  | undefined

/**
 * The type of `runWithCancellation`, in both call styles; `W` is what it takes from the context.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunWithCancellation<W = never> {
  <B extends CancelResult>(
    options: WithCancelResult<B>
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A | B, E, R | W>
  <B, E2, R2>(
    options: WithOnCancelled<B, E2, R2>
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A | B, E | E2, R | R2 | W>
  (
    options?: CancellationTiming
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<Option.Option<A>, E, R | W>
  <A, E, R, B extends CancelResult>(
    effect: Effect.Effect<A, E, R>,
    options: WithCancelResult<B>
  ): Effect.Effect<A | B, E, R | W>
  <A, E, R, B, E2, R2>(
    effect: Effect.Effect<A, E, R>,
    options: WithOnCancelled<B, E2, R2>
  ): Effect.Effect<A | B, E | E2, R | R2 | W>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: CancellationTiming
  ): Effect.Effect<Option.Option<A>, E, R | W>
}

/** The options of any of the three forms. */
export interface AnyRunOptions<B, E2, R2> extends CancellationTiming {
  readonly cancelResult?: B
  readonly onCancelled?: (event: CancellationEvent) => Effect.Effect<B, E2, R2>
}

/** Binds the combinator to one watched run. */
export const makeRunWithCancellation = (self: Cancellable): RunWithCancellation =>
  bothStyles(self, run)

type Options = AnyRunOptions<never, never, never>

/** Gives a two-argument form its pipeable twin: one function, and no more, for each run. */
export const bothStyles = <S, W>(
  self: S,
  body: <A, E, R, B, E2, R2>(
    self: S,
    effect: Effect.Effect<A, E, R>,
    options: AnyRunOptions<B, E2, R2>
  ) => Effect.Effect<A | B | Option.Option<A>, E | E2, R | R2 | W>
): RunWithCancellation<W> => {
  const both = <A, E, R>(first: Effect.Effect<A, E, R> | Options = {}, options: Options = {}) =>
    Effect.isEffect(first)
      ? body(self, first, options)
      : (effect: Effect.Effect<A, E, R>) => body(self, effect, first)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a function has no overloads of its own
  return both as RunWithCancellation<W>
}

const run = <A, E, R, B, E2, R2>(
  self: Cancellable,
  effect: Effect.Effect<A, E, R>,
  options: AnyRunOptions<B, E2, R2>
): Result<A, B, E | E2, R | R2> => {
  if (options.pollInterval === undefined && options.gracePeriod === undefined) {
    return watched(self, effect, options, {
      pollInterval: undefined,
      gracePeriod: self.gracePeriod
    })
  }
  return Effect.flatMap(timingOf(self, options), (timing) => watched(self, effect, options, timing))
}

type Result<A, B, E, R> = Effect.Effect<A | B | Option.Option<A>, E, R>

const watched = <A, E, R, B, E2, R2>(
  self: Cancellable,
  effect: Effect.Effect<A, E, R>,
  options: AnyRunOptions<B, E2, R2>,
  { gracePeriod, pollInterval }: Timing
): Result<A, B, E | E2, R | R2> => {
  const { detection } = self
  const keepsValue = "cancelResult" in options || options.onCancelled !== undefined

  // In the step in which the work ends: what it returned counts only if the flag is not set.
  const counted = (exit: Exit.Exit<A, E>) => (detection.isCancelledUnsafe() ? undefined : exit)
  const work = Effect.matchCauseEffect(effect, {
    onSuccess: (value) => Exit.succeed(counted(Exit.succeed(value))),
    onFailure: (cause) => Exit.succeed(counted(Exit.failCause(cause)))
  })

  return Effect.uninterruptibleMask((restore) => {
    const before = detection.eventUnsafe()
    if (before !== undefined) return restore(cancelled(before, options))

    const settled = (ended: Ended<A, E>): Result<A, B, E | E2, R2> => {
      // Only an interrupt of the work's own fiber comes as a failure: ours skips what is above.
      const exit = Exit.isSuccess(ended) ? ended.value : counted(Exit.failCause(ended.cause))
      if (exit === undefined) return restore(afterwards(detection, options))
      return keepsValue ? exit : Exit.map(exit, (value) => Option.some(value))
    }

    return Effect.flatMap(Effect.forkDetach(work, { startImmediately: true }), (fiber) => {
      const ended = fiber.pollUnsafe()
      if (ended !== undefined) return settled(ended)
      const first = firstOf(self, fiber, gracePeriod)
      return Effect.flatMap(
        // An interrupt from outside waits for the work, however long it resists.
        Effect.onInterrupt(
          restore(
            // Looks are wanted while there is work that they may end.
            pollInterval === undefined
              ? first
              : Effect.acquireUseRelease(
                  self.watch.want(pollInterval),
                  () => first,
                  () => self.watch.unwant(pollInterval)
                )
          ),
          () => Fiber.interrupt(fiber)
        ),
        settled
      )
    })
  })
}

/** How the fiber of the work ended; what counts in it is left out if the flag was set by then. */
type Ended<A, E> = Exit.Exit<Exit.Exit<A, E> | undefined>

// A fiber that waits for the cancellation would cost as much as the work's: a stop interrupts the work
// in the step of detection instead, and its end is waited for as that of a loser.
const firstOf = <A, E>(
  self: Cancellable,
  fiber: Fiber.Fiber<Exit.Exit<A, E> | undefined>,
  gracePeriod: Duration.Duration | undefined
): Effect.Effect<Ended<A, E>> =>
  Effect.callback((resume) => {
    let forgetStop = constVoid
    const forgetEnd = fiber.addObserver((ended) => {
      forgetStop()
      // What follows a stop is in less of a hurry than other runs that the same look stops.
      resume(
        self.detection.isCancelledUnsafe()
          ? Effect.as(Effect.yieldNow, ended)
          : Effect.succeed(ended)
      )
    })
    if (fiber.pollUnsafe() !== undefined) return
    forgetStop = self.detection.onStepUnsafe(() => {
      if (gracePeriod === undefined) return fiber.interruptUnsafe()
      forgetEnd()
      resume(Effect.as(interruptWithin(self, fiber, gracePeriod), Exit.succeed(undefined)))
    })
    return Effect.sync(() => {
      forgetEnd()
      forgetStop()
    })
  })

const afterwards = <B, E2, R2>(
  detection: Cancellable["detection"],
  options: AnyRunOptions<B, E2, R2>
): Effect.Effect<B | Option.Option<never>, E2, R2> =>
  Effect.flatMap(detection.cancellation, (event) =>
    Effect.andThen(recordEnd(event), cancelled(event, options))
  )

const cancelled = <B, E2, R2>(
  event: CancellationEvent,
  options: AnyRunOptions<B, E2, R2>
): Effect.Effect<B | Option.Option<never>, E2, R2> => {
  if ("cancelResult" in options) return Effect.succeed(options.cancelResult)
  return options.onCancelled === undefined ? Effect.succeedNone : options.onCancelled(event)
}
