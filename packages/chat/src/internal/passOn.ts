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
  // Never the note: it is about the parent, and for whoever looks at that.
  repo
    .requestStop(
      child,
      StopIntent.make({ reason: "parent", ...(requestedBy === undefined ? {} : { requestedBy }) })
    )
    .pipe(
      Effect.ensuring(Deferred.succeed(asked, undefined)),
      Effect.retry({ schedule: pauses, while: mayPass }),
      Effect.catch((error) => notPassedOn(error.message)),
      Effect.onInterrupt(() => notPassedOn("its parent's handlerTimeout is over")),
      // Interrupted before it was asked for.
      Effect.ensuring(Deferred.succeed(asked, undefined)),
      Effect.annotateLogs({
        ...annotations(child.ref),
        "effect_cancellation.run_id": child.runId
      }),
      Effect.asVoid
    )

// A run that such a store does not know yet may begin meanwhile.
const mayPass = ({ reason }: MessageStoreError): boolean =>
  reason._tag === "StoreUnavailable" || reason._tag === "RunNotFound"

const notPassedOn = (why: string) =>
  Effect.logWarning(`The stop of a parent did not reach its child run, which goes on: ${why}`)

/** What every log line about the writing of a message carries. */
export const annotations = (ref: MessageRef) => ({
  "effect_cancellation.chat_id": ref.chatId,
  "effect_cancellation.message_id": ref.messageId
})
