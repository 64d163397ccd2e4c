// A number that a test can wait for.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

export interface Count {
  readonly add: (change: number) => void
  readonly now: Effect.Effect<number>
  /** Waits until it is at most, or at least, that many; at once if it is. */
  readonly atMost: (wanted: number) => Effect.Effect<void>
  readonly atLeast: (wanted: number) => Effect.Effect<void>
}

export const makeCount = (): Count => {
  let value = 0
  const waiters = new Map<Deferred.Deferred<void>, () => boolean>()

  const wait = (isSo: () => boolean) =>
    Effect.suspend(() => {
      if (isSo()) return Effect.void
      const waiter = Deferred.makeUnsafe<void>()
      waiters.set(waiter, isSo)
      const arrive = Effect.ensuring(
        Deferred.await(waiter),
        Effect.sync(() => waiters.delete(waiter))
      )
      // Whoever counts wakes the waiter: let all who listen to the same hear of it first.
      return Effect.andThen(arrive, Effect.yieldNow)
    })

  return {
    add: (change) => {
      value += change
      for (const [waiter, isSo] of waiters) if (isSo()) Deferred.doneUnsafe(waiter, Effect.void)
    },
    now: Effect.sync(() => value),
    atMost: (wanted) => wait(() => value <= wanted),
    atLeast: (wanted) => wait(() => value >= wanted)
  }
}
