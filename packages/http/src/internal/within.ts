/**
 * A limit for what the application is asked, also where the asking itself cannot be interrupted.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The effect, or `orElse` if it takes longer; it is interrupted then. */
export const within =
  <B, E2, R2>(duration: Duration.Input, orElse: Effect.Effect<B, E2, R2>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | B, E | E2, R | R2> =>
    Effect.raceFirst(
      // Fibers of their own: a region that cannot be interrupted would wait for the loser.
      Effect.interruptible(effect),
      Effect.andThen(Effect.interruptible(Effect.sleep(duration)), orElse)
    )
