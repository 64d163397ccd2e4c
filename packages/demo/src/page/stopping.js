// Stopping, by the Stop API alone.

import { me, nameOf } from "./people.js"
import { isFinal, StopError, stopEvents, stopMessage } from "./stop-api.js"

/**
 * Asks for the stop of one run, and tells how far it comes, up to its end. The page makes the names
 * of what it asks for, so a stop may overtake its question: it waits for that run and no other.
 *
 * Rejects if the stop could not be asked, and if it waited in vain for its run: then it may be asked
 * again. What cannot be followed the chat's own events tell.
 */
export const stopRun = async ({ asked, ...run }, { onReceipt, onRetry }) => {
  const at = { baseUrl: "/api", ...run }
  const receipt = await stopMessage({ ...at, onRetry })
  onReceipt(receipt)
  if (isFinal(receipt)) return
  // Of a question that was refused there is nothing to stop, and its sender is told.
  if (!(await isTaken(asked))) return
  // There is nothing to follow before its run has begun, but that can be waited for.
  if (receipt.phase === "pending") {
    const waited = await stopMessage({ ...at, wait: "ended" })
    onReceipt(waited)
    if (waited.phase === "pending") throw new StopError("not_begun", "It had not begun.", {})
    return
  }
  try {
    for await (const next of stopEvents(at)) onReceipt(next)
  } catch {
    // The stop is stored.
  }
}

const isTaken = async (asked) => {
  try {
    await asked
    return true
  } catch {
    return false
  }
}

/** Why there is no stop of somebody's answer, for a person. */
export const refusalInWords = ({ code, message }, userId) => {
  if (code === "not_begun") return "Not stopped: the answer had not begun. Press Stop again."
  if (code !== "forbidden") return `The stop could not be asked. ${message} Press Stop again.`
  return userId === undefined || userId === me()
    ? message
    : `Only ${nameOf(userId)} can stop this answer.`
}
