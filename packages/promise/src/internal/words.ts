/**
 * What the core says, in this package's words.
 */
import {
  type CancellationEvent,
  type MessageStoreError,
  receiptOf,
  type Run as CoreRun,
  type RunRecord,
  type StopReceipt as CoreReceipt,
  type StopRequest
} from "effect-cancellation"
import type { RunRef } from "../Message.ts"
import type { StopEvent, StopReceipt } from "../Stop.ts"
import { StoreError } from "../StoreError.ts"

const runRefOf = ({ ref, runId }: CoreRun): RunRef => ({
  ...(ref.companyId === undefined ? {} : { companyId: ref.companyId }),
  ...(ref.userId === undefined ? {} : { userId: ref.userId }),
  chatId: ref.chatId,
  messageId: ref.messageId,
  runId
})

export const eventOf = ({
  detectedAt,
  detectedBy,
  request,
  run
}: CancellationEvent): StopEvent => ({
  ...runRefOf(run),
  reason: request.reason,
  ...(request.requestedBy === undefined ? {} : { requestedBy: request.requestedBy }),
  ...(request.note === undefined ? {} : { note: request.note }),
  userAbortedAt: new Date(request.userAbortedAt),
  detectedAt: new Date(detectedAt),
  detectedBy
})

/** How far the stop of a run has come, also if none was asked. */
export const receiptOfRun = (record: RunRecord): StopReceipt => {
  const receipt = receiptOf(record)
  if (receipt !== undefined) return receiptOfStop(receipt)
  const { current, endedAt, outcome } = record
  const place = placeOf(record.run)
  if (endedAt !== undefined && outcome !== undefined) {
    const ended = { at: new Date(endedAt), outcome }
    return { phase: outcome === "lost" ? "lost" : "none", ...place, ended }
  }
  return current ? { phase: "none", ...place } : { phase: "superseded", ...place }
}

export const receiptOfStop = (receipt: CoreReceipt): StopReceipt => {
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
      expiresAt: new Date(expiresAt)
    }
  }
  const place = placeOf(receipt.run)
  switch (receipt._tag) {
    case "Requested":
      return { phase: "requested", ...place, requested: requestedOf(receipt.request) }
    case "Observed":
      return {
        phase: "observed",
        ...place,
        requested: requestedOf(receipt.request),
        observed: { at: new Date(receipt.observedAt) }
      }
    case "Superseded":
      return { phase: "superseded", ...place }
    case "Ended": {
      const { endedAt, observedAt, outcome, request } = receipt
      return {
        phase: outcome === "lost" ? "lost" : "ended",
        ...place,
        requested: requestedOf(request),
        ...(observedAt === undefined ? {} : { observed: { at: new Date(observedAt) } }),
        ended: { at: new Date(endedAt), outcome }
      }
    }
    case "TooLate": {
      const { endedAt, outcome, request } = receipt
      return {
        phase: outcome === "lost" ? "lost" : "tooLate",
        ...place,
        ...(request === undefined ? {} : { requested: requestedOf(request) }),
        ended: { at: new Date(endedAt), outcome }
      }
    }
  }
}

const placeOf = ({ ref, runId }: CoreRun) => ({
  chatId: ref.chatId,
  messageId: ref.messageId,
  runId
})

const requestedOf = ({ note, reason, requestedBy, userAbortedAt }: StopRequest) => ({
  at: new Date(userAbortedAt),
  ...(requestedBy === undefined ? {} : { by: requestedBy }),
  reason,
  ...(note === undefined ? {} : { note })
})

const reasons = {
  StoreUnavailable: "unavailable",
  Unsupported: "unsupported",
  RunNotFound: "notFound",
  MalformedRow: "malformed"
} as const

export const storeErrorOf = ({ reason }: MessageStoreError): StoreError =>
  new StoreError(
    reasons[reason._tag],
    reason.message,
    reason._tag === "StoreUnavailable" ? { cause: reason.cause } : {}
  )
