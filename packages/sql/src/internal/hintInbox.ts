/**
 * Hints that wait for one subscriber of a signal.
 *
 * Not a `PubSub`: who waits for a `Deferred` goes on at once, and not a turn of the event loop later.
 * All hints that come together are one pull.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { StopHint } from "effect-cancellation"

export interface HintInbox {
  readonly offer: (hints: ReadonlyArray<StopHint>) => void
  /** To be run once. */
  readonly hints: Stream.Stream<StopHint>
  /** No more will come: the stream ends. */
  readonly end: () => void
}

export const makeHintInbox = (): HintInbox => {
  let waiting: Array<StopHint> = []
  let hasEnded = false
  let arrival = Deferred.makeUnsafe<void>()

  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<StopHint>> = Effect.suspend(() => {
    const hints = waiting
    waiting = []
    if (Arr.isReadonlyArrayNonEmpty(hints)) return Effect.succeed(hints)
    if (hasEnded) return Cause.done()
    arrival = Deferred.makeUnsafe()
    return Effect.andThen(Deferred.await(arrival), pull)
  })

  return {
    offer: (hints) => {
      for (const hint of hints) waiting.push(hint)
      Deferred.doneUnsafe(arrival, Effect.void)
    },
    hints: Stream.fromPull(Effect.succeed(pull)),
    end: () => {
      hasEnded = true
      Deferred.doneUnsafe(arrival, Effect.void)
    }
  }
}
