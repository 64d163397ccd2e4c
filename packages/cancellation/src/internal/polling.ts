/**
 * The polling fiber: ticks on `Schedule.spaced` at the smallest interval now wanted.
 *
 * It lives only while something is watched, is woken when a smaller interval joins, and measures the
 * pause from the end of a look, so that ticks never overlap and a slow store slows them.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

export interface Polling {
  /** Wants ticks at this interval until told otherwise; a step. */
  readonly want: (interval: Duration.Duration) => Effect.Effect<void>
  /** A step too. */
  readonly unwant: (interval: Duration.Duration) => Effect.Effect<void>
  /** What is watched has changed: starts the fiber if there is something, ends it if not; a step. */
  readonly update: () => Effect.Effect<void>
}

export const makePolling = (options: {
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly isIdle: () => boolean
  readonly look: Effect.Effect<void>
}): Polling => {
  const { context, isIdle, scope } = options
  const intervals = new Map<number, number>()
  let polling = false
  let changed = Deferred.makeUnsafe<void>()
  let lastLook = 0
  let tick: Fiber.Fiber<void> | undefined

  // Kept, since intervals come and go with each run.
  let smallest = Number.POSITIVE_INFINITY

  const look = Effect.ensuring(
    options.look,
    Effect.map(Clock.currentTimeMillis, (now) => {
      lastLook = now
    })
  )

  // A fiber of its own: what cuts the pause short must not cut the look.
  const poll = Effect.gen(function* () {
    tick = yield* Effect.forkIn(look, scope)
    yield* Fiber.await(tick)
  })

  const pollWhileNeeded: Effect.Effect<void> = Effect.gen(function* () {
    lastLook = yield* Clock.currentTimeMillis
    while (true) {
      if (tick !== undefined) yield* Fiber.await(tick)
      if (isIdle()) return
      const interval = smallest
      changed = Deferred.makeUnsafe()
      const elapsed = (yield* Clock.currentTimeMillis) - lastLook
      yield* Effect.sleep(Math.min(interval, Math.max(0, interval - elapsed))).pipe(
        Effect.andThen(Effect.repeat(poll, Schedule.spaced(interval))),
        Effect.raceFirst(Deferred.await(changed))
      )
    }
  }).pipe(
    Effect.ensuring(
      // This fiber may pause between its last look at what is watched and here: look again.
      Effect.suspend(() => {
        polling = false
        return scope.state._tag === "Closed" ? Effect.void : update()
      })
    ),
    Effect.updateContext((_: Context.Context<never>) => context)
  )

  const wake = (): void => void Deferred.doneUnsafe(changed, Effect.void)

  const update = (): Effect.Effect<void> => {
    if (isIdle()) {
      wake()
      return Effect.void
    }
    if (polling) return Effect.void
    polling = true
    return start
  }

  const start = Effect.asVoid(Effect.forkIn(pollWhileNeeded, scope))

  return {
    want: (interval) => {
      const millis = Duration.toMillis(interval)
      intervals.set(millis, (intervals.get(millis) ?? 0) + 1)
      if (millis < smallest) {
        smallest = millis
        wake()
      }
      return update()
    },
    unwant: (interval) => {
      const millis = Duration.toMillis(interval)
      const wanted = (intervals.get(millis) ?? 0) - 1
      if (wanted > 0) {
        intervals.set(millis, wanted)
        return Effect.void
      }
      intervals.delete(millis)
      if (millis === smallest) {
        smallest = Math.min(...intervals.keys())
        wake()
      }
      return update()
    },
    update
  }
}
