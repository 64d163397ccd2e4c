/**
 * One run whose start and end are told to the store: how far that has come, and what an erasure makes
 * of it.
 */
import type * as Cause from "effect/Cause"
import type * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import type { Run } from "../Message.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { RunRecord } from "../StopRequest.ts"

/** One run whose start and end are told to the store. */
export interface Chronicle {
  readonly run: Run
  /**
   * `waiting`: not sent yet. `sent`: the store may know it, by this start or another watch's. `known`:
   * the store has answered. `forgotten`: erased, so nothing is sent of it any more. `doubtful`: erased
   * while no answer to its start had come, so the store may have it still; its end is tried once, its
   * start never again.
   */
  start: "waiting" | "sent" | "known" | "forgotten" | "doubtful"
  /** Done when the start now under way has succeeded or failed. */
  sending: Deferred.Deferred<void> | undefined
  /** Made by who waits for an answer to its start; done when an attempt has succeeded or failed. */
  answer: Deferred.Deferred<void> | undefined
  /** When its last write must have arrived, once it is over. */
  giveUpAt: number | undefined
  /** Why the last write about it that failed did. */
  failure: Cause.Cause<MessageStoreError> | undefined
  /** Told how the run stands when it has started, a waiting stop included. */
  readonly started: (record: RunRecord) => Effect.Effect<void>
}

/** Whether there is anything to tell of it: not if the store never heard of it, or forgot it. */
export const isTold = ({ start }: Chronicle): boolean =>
  start !== "waiting" && start !== "forgotten"

/** Whether its start is on its way, so that a stop which came before it is in no row yet. */
export const isUnanswered = ({ start }: Chronicle): boolean =>
  start === "waiting" || start === "sent"

/** Whether it has been erased as far as is known: nobody waits for its last writes. */
export const isErased = ({ start }: Chronicle): boolean =>
  start === "forgotten" || start === "doubtful"

/**
 * Taken as an erasure of these is asked for; what it answers is called when they have been erased.
 *
 * Only a row that the store had confirmed before is gone for certain. A start that was answered
 * meanwhile may have come behind the deletion: its run is told of as ever, since the end of a run
 * without a row changes nothing.
 */
export const erasing = (chronicles: ReadonlyArray<Chronicle>): (() => void) => {
  const known = new Set(chronicles.filter(({ start }) => start === "known"))
  return () => {
    for (const chronicle of chronicles) {
      if (chronicle.start === "waiting" || known.has(chronicle)) chronicle.start = "forgotten"
      else if (chronicle.start === "sent") chronicle.start = "doubtful"
    }
  }
}
