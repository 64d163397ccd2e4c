/**
 * Notifications of a process to itself, which tell whether those of others would arrive.
 */
import type { PgConnection } from "@effect/sql-pg"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { SqlError } from "effect/sql"

/** Sends them by `notify`, one at a time. */
export const makeProbe = Effect.fnUntraced(function* (
  notify: (payload: string) => Effect.Effect<void, SqlError.SqlError>
) {
  let number = 0
  let arrival = Deferred.makeUnsafe<void>()
  let sending: Fiber.Fiber<void, unknown> | undefined

  // On a connection of the pool that is frozen this takes the driver 5 seconds: nobody waits for it.
  yield* Effect.addFinalizer(() =>
    sending === undefined
      ? Effect.void
      : Effect.raceFirst(
          Effect.interruptible(Fiber.interrupt(sending)),
          Effect.interruptible(Effect.sleep("500 millis"))
        )
  )

  return {
    /**
     * `unsent` if the client could not send it, which says nothing of the listening connection;
     * `lost` if it was sent and did not arrive.
     */
    send: Effect.gen(function* () {
      if (sending !== undefined) yield* Fiber.await(sending)
      const arrived = Deferred.makeUnsafe<void>()
      arrival = arrived
      const sender = yield* notify(String(++number)).pipe(
        Effect.timeout("5 seconds"),
        Effect.asVoid,
        Effect.forkDetach
      )
      sending = sender
      return yield* Effect.raceFirst(
        Effect.as(Deferred.await(arrived), "arrived" as const),
        Effect.flatMap(Fiber.await(sender), (exit) =>
          Exit.isFailure(exit)
            ? Effect.succeed("unsent" as const)
            : Effect.as(patience, "lost" as const)
        )
      )
    }),
    /** Takes a notification that arrived. */
    received: ({ payload }: PgConnection.Notification) =>
      payload === String(number) ? Deferred.succeed(arrival, undefined) : Effect.void
  }
})

// In steps: a process that was itself stopped for so long reads what has arrived meanwhile first.
const patience = Effect.repeat(Effect.sleep("1 second"), { times: 4 })
