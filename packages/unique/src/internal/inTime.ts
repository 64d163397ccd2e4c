/**
 * Calls that are given up after a while.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { UniqueError } from "../UniqueError.ts"
import { noAnswer } from "./trouble.ts"

/** Ends a call that takes longer, and fails. `all` is what was given in all, if some of it is used up. */
export const inTime =
  (duration: Duration.Duration, all: Duration.Duration = duration) =>
  <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E | UniqueError> =>
    Effect.timeoutOrElse(call, {
      duration,
      orElse: () => Effect.fail(noAnswer(`none within ${Duration.format(all)}`))
    })
