/**
 * Passes the stop of a parent on to its child in another process, by the store.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import {
  type CancellationEvent,
  type MessageRef,
  type MessageRepo,
  type MessageStoreError,
  type Run,
  StopIntent
} from "effect-cancellation"

const pauses = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")])

/** Asks until the store has it; completes `asked` after the first attempt, or once it is given up. */
export const passOn = (
  repo: MessageRepo["Service"],
  child: Run,
  { request: { requestedBy } }: CancellationEvent,
  asked: Deferred.Deferred<void>
): Effect.Effect<void> =>
  Effect.suspend(() => {
    let isStored = false
    // Never the note: it is about the parent, and for whoever looks at that.
    const by = requestedBy === undefined ? {} : { requestedBy }
    const ask = Effect.map(
      repo.requestStop(child, StopIntent.make({ reason: "parent", ...by })),
      () => {
        isStored = true
      }
    )
    return ask.pipe(
      // An attempt is whole: one that is interrupted may still succeed.
      Effect.uninterruptible,
      Effect.ensuring(Deferred.succeed(asked, undefined)),
      Effect.retry({ schedule: pauses, while: mayPass }),
      Effect.catch((error) => unconfirmed(error.message)),
      Effect.onInterrupt(() =>
        isStored ? Effect.void : unconfirmed("its parent's handlerTimeout is over")
      ),
      // Interrupted before it was asked for.
      Effect.ensuring(Deferred.succeed(asked, undefined)),
      Effect.annotateLogs({
        ...annotations(child.ref),
        "effect_cancellation.run_id": child.runId
      })
    )
  })

// A run that such a store does not know yet may begin meanwhile.
const mayPass = ({ reason }: MessageStoreError): boolean =>
  reason._tag === "StoreUnavailable" || reason._tag === "RunNotFound"

// A store that has not answered may have it all the same.
const unconfirmed = (why: string) =>
  Effect.logWarning(
    `The store did not confirm the stop that a parent passed on to its child run, which may go on: ${why}`
  )

/** What every log line about the writing of a message carries. */
export const annotations = (ref: MessageRef) => ({
  "effect_cancellation.chat_id": ref.chatId,
  "effect_cancellation.message_id": ref.messageId
})
