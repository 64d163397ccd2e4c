/**
 * Messages of a process to itself, which tell whether those of others would arrive.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { RedisTrouble } from "./trouble.ts"

/** A probe was sent, and did not come to who listens. */
export class ProbeLost extends Schema.TaggedError<ProbeLost>("effect-cancellation-redis/ProbeLost")(
  "ProbeLost",
  {}
) {
  override get message(): string {
    return "A message published on Redis did not arrive within 5 seconds. The subscribed connection may be frozen, or it leads to another Redis than the one that messages are published on."
  }
}

/** Sends them by `publish`, one at a time. */
export const makeProbe = (publish: (payload: string) => Effect.Effect<void, RedisTrouble>) => {
  let number = 0
  let arrival = Deferred.makeUnsafe<void>()
  return {
    /** Ends when it has arrived. That it could not be sent says nothing of who listens. */
    send: Effect.suspend(() => {
      const arrived = Deferred.makeUnsafe<void>()
      arrival = arrived
      return Effect.andThen(
        publish(String(++number)),
        Effect.raceFirst(
          Deferred.await(arrived),
          Effect.andThen(patience, Effect.fail(new ProbeLost()))
        )
      )
    }),
    /** Takes a message that arrived. */
    received: (payload: string) =>
      payload === String(number) ? Deferred.succeed(arrival, undefined) : Effect.void
  }
}

// In steps: a process that was itself stopped for so long reads what has arrived meanwhile first.
const patience = Effect.repeat(Effect.sleep("1 second"), { times: 4 })
