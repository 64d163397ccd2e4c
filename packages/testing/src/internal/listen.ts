/**
 * A subscriber to a signal, for tests.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Run, runKey, type StopSignalError, type StopSignalService } from "effect-cancellation"
import { placeOf } from "./hostileIds.ts"

export interface Listener {
  /** Waits until it has heard of all these runs. */
  readonly hears: (runs: ReadonlyArray<Run>) => Effect.Effect<void>
  /** What it has heard so far. */
  readonly heard: () => ReadonlyArray<Run>
}

/**
 * Subscribes for as long as the scope, and comes back when hints arrive: nobody else can tell when a
 * subscription on a server has begun. `from` publishes what it waits for; the signal itself by default.
 */
export const listen = Effect.fnUntraced(function* (
  signal: StopSignalService,
  from: StopSignalService = signal
): Effect.fn.Return<Listener, StopSignalError, Scope.Scope> {
  const heard: Array<Run> = []
  const waiters = new Map<string, Deferred.Deferred<void>>()
  const waiterOf = (run: Run) => {
    const key = runKey(run)
    const waiter = waiters.get(key) ?? Deferred.makeUnsafe<void>()
    waiters.set(key, waiter)
    return waiter
  }
  yield* Effect.forkScoped(
    Stream.runForEach(signal.hints, (hint) =>
      Effect.sync(() => {
        if (hint._tag !== "Hint") return
        heard.push(hint.run)
        Deferred.doneUnsafe(waiterOf(hint.run), Effect.void)
      })
    )
  )
  const probe = placeOf(crypto.randomUUID())
  const knocking = Effect.repeat(from.publish(probe), Schedule.spaced("10 millis"))
  yield* Effect.raceFirst(Deferred.await(waiterOf(probe)), Effect.andThen(knocking, Effect.never))
  return {
    hears: (runs) =>
      Effect.forEach(runs, (run) => Deferred.await(waiterOf(run)), { discard: true }),
    heard: () => heard
  }
})
