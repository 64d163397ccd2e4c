import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Looks again until it is as wanted. Dies with what it saw last if that does not happen. */
export const until = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  accept: (seen: A) => boolean,
  limit: `${number} seconds` = "50 seconds"
) =>
  Effect.repeat(look, {
    schedule: Schedule.spaced("10 millis").pipe(Schedule.upTo({ duration: limit })),
    until: accept
  }).pipe(
    // what is looked at is outside of this process, where no test adjusts the clock
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    Effect.flatMap((last) =>
      accept(last)
        ? Effect.succeed(last)
        : Effect.die(new Error(`Not within ${limit}; last seen: ${JSON.stringify(last)}`))
    )
  )
