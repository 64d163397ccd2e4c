/**
 * What the combinators need of a watcher, and what becomes of work that resists its interrupt.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { abandonedWork, detectionToEnd } from "../CancellationMetrics.ts"
import type { CancellationEvent } from "../CancellationEvent.ts"
import type { Detection } from "./detection.ts"
import { notNegative, positive } from "../Setting.ts"
import type { Watch } from "./watch.ts"
import { annotations } from "./words.ts"

/** A watched run, as the combinators see it. */
export interface Cancellable {
  readonly detection: Detection
  readonly watch: Watch
  readonly gracePeriod: Duration.Duration | undefined
  /** Notes that work was given up, for the outcome. */
  readonly abandon: () => void
}

/**
 * Settings for the time of one call; both default to those of the watcher's layer.
 *
 * @category models
 * @since 0.1.0
 */
export interface CancellationTiming {
  /** Wants looks at this interval while the call lasts. A finite time above zero. */
  readonly pollInterval?: Duration.Input | undefined
  /** Gives up work that is not over this long after its interrupt. Default: waits for it. */
  readonly gracePeriod?: Duration.Input | undefined
}

export interface Timing {
  readonly pollInterval: Duration.Duration | undefined
  readonly gracePeriod: Duration.Duration | undefined
}

/** Looks at the settings of a call; dies with `InvalidSetting` like the layer would. */
export const timingOf = (
  self: Cancellable,
  { gracePeriod, pollInterval }: CancellationTiming
): Effect.Effect<Timing> =>
  Effect.all({
    pollInterval:
      pollInterval === undefined ? Effect.undefined : positive("pollInterval", pollInterval),
    gracePeriod:
      gracePeriod === undefined
        ? Effect.succeed(self.gracePeriod)
        : notNegative("gracePeriod", gracePeriod)
  })

/** Interrupts work for a cancellation; answers when it is over or, after the grace period, given up. */
export const interruptWithin = (
  self: Cancellable,
  fiber: Fiber.Fiber<unknown, unknown>,
  gracePeriod: Duration.Duration
): Effect.Effect<void> =>
  Effect.suspend(() => {
    fiber.interruptUnsafe()
    return Effect.flatMap(
      Effect.timeoutOption(Fiber.await(fiber), gracePeriod),
      Option.match({ onSome: () => Effect.void, onNone: () => giveUp(self, fiber) })
    )
  })

const giveUp = Effect.fnUntraced(function* (
  self: Cancellable,
  fiber: Fiber.Fiber<unknown, unknown>
) {
  const run = yield* self.watch.run
  self.abandon()
  yield* Metric.modify(abandonedWork, 1)
  yield* Effect.logWarning("Work resists its interrupt and is given up; it is still running").pipe(
    Effect.annotateLogs(annotations(run))
  )
  yield* Fiber.await(fiber).pipe(
    Effect.andThen(Metric.modify(abandonedWork, -1)),
    Effect.andThen(Effect.logInfo("Work that was given up has ended")),
    Effect.annotateLogs(annotations(run)),
    Effect.forkDetach({ startImmediately: true })
  )
}, Effect.uninterruptible)

/** Records how long cancelled work took to end. */
export const recordEnd = (event: CancellationEvent): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Metric.update(detectionToEnd, Math.max(0, now - event.detectedAt))
  )
