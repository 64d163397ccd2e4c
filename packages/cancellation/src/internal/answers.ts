/**
 * Answers of a store, looked at before they are used.
 *
 * Each of these throws on an answer that is not what the store promised. Called within an attempt it
 * makes that a call without an answer: logged, tried again, and never the end of the feed.
 */
import { type Run, runKey } from "../Message.ts"
import type { StopLook } from "../MessageStore.ts"

const keys = (rows: ReadonlyArray<{ readonly run: Run }>): void => {
  for (const { run } of rows) runKey(run)
}

export const understoodLook = (look: StopLook): StopLook => {
  for (const { request } of look.requests) {
    if (!Number.isFinite(request.userAbortedAt)) throw new TypeError("A stop without its time")
  }
  keys(look.requests)
  keys(look.failures)
  look.gone.forEach(runKey)
  look.lost.forEach(runKey)
  return look
}

export const understoodRows = <A extends { readonly run: Run }>(
  rows: ReadonlyArray<A>
): ReadonlyArray<A> => {
  keys(rows)
  return rows
}
