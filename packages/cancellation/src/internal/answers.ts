/**
 * Answers of a store, looked at before they are used.
 *
 * A stop that cannot be understood is a failure of its row. What else is not as the store promised
 * throws: within an attempt that is a call without an answer, logged, tried again, and never the end
 * of the feed.
 */
import { type Run, runKey } from "../Message.ts"
import type { StopLook } from "../MessageStore.ts"
import { MalformedRow, MessageStoreError } from "../MessageStoreError.ts"
import { type RunRecord, StopRequest } from "../StopRequest.ts"

const keys = (rows: ReadonlyArray<{ readonly run: Run }>): void => {
  for (const { run } of rows) runKey(run)
}

export const understoodLook = (look: StopLook): StopLook => {
  keys(look.requests)
  keys(look.failures)
  look.gone.forEach(runKey)
  look.lost.forEach(runKey)
  if (look.requests.length === 0) return look
  const requests: Array<StopLook["requests"][number]> = []
  const failures = Array.from(look.failures)
  for (const { request, run } of look.requests) {
    try {
      requests.push({ run, request: understood(request) })
    } catch (error) {
      const detail = `the stop of run ${run.runId}: ${String(error).slice(0, 200)}`
      failures.push({ run, error: new MessageStoreError({ reason: new MalformedRow({ detail }) }) })
    }
  }
  return { ...look, requests, failures }
}

export const understoodRows = (rows: ReadonlyArray<RunRecord>): ReadonlyArray<RunRecord> => {
  keys(rows)
  for (const { request } of rows) if (request !== undefined) understood(request)
  return rows
}

// One that was made by its class has been looked at.
const understood = (request: StopRequest): StopRequest =>
  request instanceof StopRequest ? request : StopRequest.make(request)
