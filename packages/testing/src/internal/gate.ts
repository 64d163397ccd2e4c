/**
 * What a hanging call waits for.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

export interface Gate {
  /** Waits until somebody opens the gate after now. */
  readonly wait: () => Effect.Effect<void>
  /** Lets everybody through who waits now; who comes later waits again. */
  readonly open: Effect.Effect<void>
}

export const makeGate = (): Gate => {
  let next = Deferred.makeUnsafe<void>()
  return {
    wait: () => Deferred.await(next),
    open: Effect.sync(() => {
      const opened = next
      next = Deferred.makeUnsafe()
      Deferred.doneUnsafe(opened, Effect.void)
    })
  }
}
