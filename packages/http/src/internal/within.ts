/**
 * A limit for what the application is asked, also where the asking itself cannot be interrupted.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** The effect, or `orElse` if it takes longer: it is interrupted then, and not waited for. */
export const within =
  <B, E2, R2>(duration: Duration.Input, orElse: Effect.Effect<B, E2, R2>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | B, E | E2, R | R2> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        // A fiber of its own: a race would wait for the loser, which may not be interruptible.
        Effect.forkDetach(Effect.interruptible(effect), { startImmediately: true }),
        (fiber) =>
          Effect.raceFirst(
            Effect.flatMap(Effect.interruptible(Fiber.await(fiber)), settled),
            Effect.andThen(Effect.interruptible(Effect.sleep(duration)), orElse)
          ).pipe(restore, Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe())))
      )
    )

// Whoever is asked may not end by its own interrupt the request of whoever asks.
const settled = <A, E>(exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    ? Effect.die(new Error("What the application was asked has interrupted itself"))
    : exit
