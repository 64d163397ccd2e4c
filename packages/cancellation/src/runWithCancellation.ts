/**
 * Runs work that a stop interrupts.
 *
 * The work is raced, by `Effect.raceFirst`, against the cancellation of the run. The flag decides: it
 * is looked at before the work starts and in the same step as it ends. If it is set, the cancel
 * result stands, whatever the work returned or failed with; if not, the work's own result does.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
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
  bothStyles((effect, options) => run(self, effect, options))

/** Gives a two-argument form its pipeable twin. */
export const bothStyles = <W>(
  body: <A, E, R, B, E2, R2>(
    effect: Effect.Effect<A, E, R>,
    options: AnyRunOptions<B, E2, R2>
  ) => Effect.Effect<A | B | Option.Option<A>, E | E2, R | R2 | W>
): RunWithCancellation<W> =>
  dual(
    (args) => Effect.isEffect(args[0]),
    <A, E, R>(effect: Effect.Effect<A, E, R>, options: AnyRunOptions<never, never, never> = {}) =>
      body(effect, options)
  )

const run = <A, E, R, B, E2, R2>(
  self: Cancellable,
  effect: Effect.Effect<A, E, R>,
  options: AnyRunOptions<B, E2, R2>
): Effect.Effect<A | B | Option.Option<A>, E | E2, R | R2> =>
  Effect.suspend(() => {
    const { detection } = self
    const before = detection.eventUnsafe()
    if (before !== undefined) return cancelled(before, options)

    const keepsValue = "cancelResult" in options || options.onCancelled !== undefined
    const own = (exit: Exit.Exit<A, E>): Effect.Effect<A | Option.Option<A>, E> =>
      keepsValue ? exit : Effect.map(exit, Option.some)

    // In the step in which the work ends: what it returned counts only if the flag is not set.
    const work = Effect.map(Effect.exit(effect), (exit) =>
      detection.isCancelledUnsafe() ? undefined : exit
    )
    return Effect.matchCauseEffect(race(self, work, options), {
      onSuccess: (exit): Effect.Effect<A | B | Option.Option<A>, E | E2, R2> =>
        exit === undefined ? afterwards(detection, options) : own(exit),
      // Only an interrupt of the work's own fiber comes here: ours skips handlers.
      onFailure: (cause) =>
        detection.isCancelledUnsafe() ? afterwards(detection, options) : Effect.failCause(cause)
    })
  })

const race = <A, E, R>(
  self: Cancellable,
  work: Effect.Effect<Exit.Exit<A, E> | undefined, never, R>,
  options: CancellationTiming
) => {
  const stop = Effect.as(self.detection.cancellation, undefined)
  if (
    options.pollInterval === undefined &&
    options.gracePeriod === undefined &&
    self.gracePeriod === undefined
  ) {
    return Effect.raceFirst(work, stop)
  }
  return Effect.flatMap(timingOf(self, options), (timing) => raceTimed(self, work, stop, timing))
}

const raceTimed = <A, R>(
  self: Cancellable,
  work: Effect.Effect<A, never, R>,
  stop: Effect.Effect<undefined>,
  { gracePeriod, pollInterval }: Timing
): Effect.Effect<A | undefined, never, R> => {
  const raced =
    gracePeriod === undefined
      ? Effect.raceFirst(work, stop)
      : raceDetached(self, work, stop, gracePeriod)
  return pollInterval === undefined
    ? raced
    : Effect.acquireUseRelease(
        self.watch.want(pollInterval),
        () => raced,
        () => self.watch.unwant(pollInterval)
      )
}

// The race is against joining the work, not against the work: `raceFirst` waits for the loser, and
// the loser must be one that can be left behind.
const raceDetached = <A, R>(
  self: Cancellable,
  work: Effect.Effect<A, never, R>,
  stop: Effect.Effect<undefined>,
  gracePeriod: NonNullable<Timing["gracePeriod"]>
): Effect.Effect<A | undefined, never, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(work, { startImmediately: true }), (fiber) =>
      restore(
        Effect.flatMap(Effect.raceFirst(Fiber.join(fiber), stop), (result) =>
          result !== undefined || fiber.pollUnsafe() !== undefined
            ? Effect.succeed(result)
            : Effect.as(interruptWithin(self, fiber, gracePeriod), undefined)
        )
      ).pipe(
        // An interrupt from outside waits for the work, however long it resists.
        Effect.onInterrupt(() => Fiber.interrupt(fiber))
      )
    )
  )

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
