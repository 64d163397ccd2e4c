/**
 * As many at once as there are permits, for each key by itself.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

export type KeyedPermits = (
  key: string
) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Held {
  readonly semaphore: Semaphore.Semaphore
  users: number
}

export const makeKeyedPermits = (permits: number): KeyedPermits => {
  const all = new Map<string, Held>()

  const enter = (key: string): Held => {
    const held = all.get(key) ?? { semaphore: Semaphore.makeUnsafe(permits), users: 0 }
    all.set(key, held)
    held.users++
    return held
  }
  // Keys are of chats and companies that come and go.
  const leave = (key: string, held: Held): void => {
    if (--held.users === 0) all.delete(key)
  }

  return (key) => (effect) =>
    Effect.acquireUseRelease(
      Effect.sync(() => enter(key)),
      ({ semaphore }) => semaphore.withPermit(effect),
      (held) => Effect.sync(() => leave(key, held))
    )
}
