/**
 * The usual design, as a competent team writes it by hand: each run has a poller of its own, a flag,
 * the events it has published, and a race. It is what the library is measured against.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"

interface HandWritten {
  /** Asks the store. */
  readonly check: Effect.Effect<boolean>
  /** Reads the flag. */
  readonly isCancelled: Effect.Effect<boolean>
  /** Races work against the stop. */
  readonly runWithCancellation: <A, E, R>(
    work: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E, R>
}

/** A run, polled until its scope closes. */
export const watchByHand = Effect.fnUntraced(function* (options: {
  readonly isStopped: Effect.Effect<boolean, unknown>
  readonly pollInterval: Duration.Input
  readonly pollTimeout: Duration.Input
}) {
  const flag = yield* Ref.make(false)
  const events = yield* Ref.make<ReadonlyArray<number>>([])
  const stopped = yield* Deferred.make<void>()

  const look = options.isStopped.pipe(
    Effect.timeout(options.pollTimeout),
    Effect.orElseSucceed(() => false)
  )
  const check = Effect.gen(function* () {
    if (yield* Ref.get(flag)) return true
    if (!(yield* look)) return false
    if (!(yield* Ref.getAndSet(flag, true))) {
      yield* Ref.update(events, (before) => [...before, Date.now()])
      yield* Deferred.succeed(stopped, undefined)
    }
    return true
  })

  yield* check.pipe(
    Effect.repeat({ schedule: Schedule.spaced(options.pollInterval), until: (is) => is }),
    Effect.forkScoped
  )

  return {
    check,
    isCancelled: Ref.get(flag),
    runWithCancellation: (work) =>
      Effect.raceFirst(Effect.asSome(work), Effect.as(Deferred.await(stopped), Option.none()))
  } satisfies HandWritten
})
