/** What the tests of the laws share. */
import {
  createStops,
  memory,
  type StopsLogEntry,
  type StopsOptions
} from "effect-cancellation-promise"

export const place = { chatId: "chat", messageId: "message" }

/** Stops in memory that keep their log to themselves. */
export const quietStops = (options: StopsOptions = {}) => {
  const entries: Array<StopsLogEntry> = []
  const stops = createStops({
    store: memory(),
    log: (entry) => {
      entries.push(entry)
    },
    ...options
  })
  return Object.assign(stops, { entries })
}

/** A promise, and how to settle it. */
export const deferred = <A = void>() => {
  let resolve: (value: A) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<A>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Settles with the signal's reason, as work does that heeds it. */
export const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

/** A turn of the event loop. */
export const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Resolves when the signal has aborted. */
export const aborted = (signal: AbortSignal): Promise<void> => untilAborted(signal).catch(() => {})
