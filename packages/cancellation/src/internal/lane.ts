/**
 * Gathers what arrives while something is under way.
 *
 * One batch is under way at a time; what is offered meanwhile makes the next one. So a burst of ten
 * thousand starts is a handful of statements, and one start alone does not wait for company. The
 * lane's fiber lives only while there is something to do.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

export interface Lane<T> {
  /** Adds an item to the next batch; a step. */
  readonly offer: (item: T) => Effect.Effect<void>
  /** Adds many items to the next batch; a step. */
  readonly offerAll: (items: Iterable<T>) => Effect.Effect<void>
  /** The same for what has gathered elsewhere: a batch begins at once if none is under way. */
  readonly beginAll: (items: Iterable<T>) => Effect.Effect<void>
  /** Tries again now what has failed. */
  readonly hurry: Effect.Effect<void>
  /** Waits until nothing is left to do. */
  readonly idle: Effect.Effect<void>
}

/** Items that `process` answers are tried again after a pause that doubles from 100 ms to 2 s. */
export const makeLane = <T>(options: {
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly process: (items: ReadonlyArray<T>) => Effect.Effect<ReadonlyArray<T>>
}): Lane<T> => {
  let waiting: Array<T> = []
  let running = false
  const arrival = Latch.makeUnsafe(false)
  const hurried = Latch.makeUnsafe(false)
  const idle = Latch.makeUnsafe(true)

  const loop: Effect.Effect<void> = Effect.gen(function* () {
    let failures = 0
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      // Before it is tried: what comes meanwhile, and who is in a hurry by then, must not be forgotten.
      arrival.closeUnsafe()
      hurried.closeUnsafe()
      const again = yield* options.process(batch)
      // Some were done: what holds up the others may be theirs alone.
      if (again.length < batch.length) failures = 0
      if (again.length === 0) continue
      waiting = again.concat(waiting)
      // What comes new must not wait for what failed before.
      const arrived = Effect.andThen(Effect.sleep(100), arrival.await)
      const pause = Effect.sleep(Math.min(100 * 2 ** failures++, 2000))
      yield* Effect.raceAllFirst([arrived, hurried.await, pause])
    }
  }).pipe(
    Effect.ensuring(
      // This fiber may pause between its last look at what waits and here: look again.
      Effect.suspend(() => {
        running = false
        if (waiting.length > 0 && options.scope.state._tag !== "Closed") return wake(start)
        idle.openUnsafe()
        return Effect.void
      })
    ),
    // The lane works for all runs: its spans and logs must not carry those of the one that woke it.
    Effect.updateContext((_: Context.Context<never>) => options.context)
  )

  const wake = (by: Effect.Effect<void>): Effect.Effect<void> => {
    arrival.openUnsafe()
    if (running || waiting.length === 0) return Effect.void
    running = true
    idle.closeUnsafe()
    return by
  }

  const start = Effect.asVoid(Effect.forkIn(loop, options.scope))
  const addAll = (items: Iterable<T>, by: Effect.Effect<void>): Effect.Effect<void> => {
    for (const item of items) waiting.push(item)
    return wake(by)
  }

  const startNow = Effect.asVoid(Effect.forkIn(loop, options.scope, { startImmediately: true }))

  return {
    offer: (item) => {
      waiting.push(item)
      return wake(start)
    },
    offerAll: (items) => addAll(items, start),
    beginAll: (items) => addAll(items, startNow),
    hurry: Effect.sync(() => void hurried.openUnsafe()),
    idle: idle.await
  }
}
