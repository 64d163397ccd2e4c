/**
 * Stops in the words of the Stop API.
 */
import * as DateTime from "effect/DateTime"
import { receiptOf, type RunRecord, type StopReceipt, type StopRequest } from "effect-cancellation"
import type { Receipt } from "../StopApi.ts"

/** How far the stop of a run has come. */
export const receiptOfRun = (record: RunRecord): Receipt => {
  const receipt = receiptOf(record)
  if (receipt !== undefined) return receiptOfStop(receipt)
  const { current, endedAt, outcome } = record
  const place = placeOf(record.run)
  if (endedAt !== undefined && outcome !== undefined) {
    return { phase: "none", ...place, ended: { at: time(endedAt), outcome } }
  }
  return current ? { phase: "none", ...place } : { phase: "superseded", ...place }
}

/** A receipt as the store answers it. `repeated`: the stop had been asked before. */
export const receiptOfStop = (receipt: StopReceipt, repeated = false): Receipt => {
  const again = repeated ? { repeated } : {}
  if (receipt._tag === "Pending") {
    const { expiresAt, request, target } = receipt
    return {
      phase: "pending",
      ...(target._tag === "Chat"
        ? { chatId: target.chatId }
        : target._tag === "Run"
          ? placeOf(target.run)
          : { chatId: target.ref.chatId, messageId: target.ref.messageId }),
      requested: requestedOf(request),
      expiresAt: time(expiresAt),
      ...again
    }
  }
  const place = placeOf(receipt.run)
  switch (receipt._tag) {
    case "Requested":
      return { phase: "requested", ...place, requested: requestedOf(receipt.request), ...again }
    case "Observed":
      return {
        phase: "observed",
        ...place,
        requested: requestedOf(receipt.request),
        observed: { at: time(receipt.observedAt) },
        ...again
      }
    case "Superseded":
      return { phase: "superseded", ...place }
    case "Ended": {
      const { endedAt, observedAt, outcome, request } = receipt
      return {
        phase: outcome === "lost" ? "lost" : "ended",
        ...place,
        requested: requestedOf(request),
        ...(observedAt === undefined ? {} : { observed: { at: time(observedAt) } }),
        ended: { at: time(endedAt), outcome },
        ...again
      }
    }
    case "TooLate": {
      const { endedAt, outcome, request } = receipt
      return {
        phase: outcome === "lost" ? "lost" : "tooLate",
        ...place,
        ...(request === undefined ? {} : { requested: requestedOf(request) }),
        ended: { at: time(endedAt), outcome },
        ...again
      }
    }
  }
}

/** Whether nothing more will come after it. */
export const isFinal = (receipt: Receipt): boolean =>
  receipt.phase === "none"
    ? receipt.ended !== undefined
    : receipt.phase !== "pending" && receipt.phase !== "requested" && receipt.phase !== "observed"

/** Whether the phase that somebody waits for has come, or will not come any more. */
export const hasReached = (receipt: Receipt, phase: "observed" | "ended" | undefined): boolean =>
  isFinal(receipt) || (phase === "observed" && receipt.phase === "observed")

const placeOf = ({ ref, runId }: RunRecord["run"]) => ({
  chatId: ref.chatId,
  messageId: ref.messageId,
  runId
})

const requestedOf = ({ note, reason, requestedBy, userAbortedAt }: StopRequest) => ({
  at: time(userAbortedAt),
  ...(requestedBy === undefined ? {} : { by: requestedBy }),
  reason,
  ...(note === undefined ? {} : { note })
})

const time = (millis: number) => DateTime.makeUnsafe(millis)
