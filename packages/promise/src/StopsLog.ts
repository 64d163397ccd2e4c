/**
 * What the library has to say while it works.
 *
 * @since 0.1.0
 */

/**
 * Something worth knowing: an outage of the store and its end, work that was given up, a handler that
 * threw.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopsLogEntry {
  readonly level: "info" | "warning" | "error"
  readonly message: string
  /** What it is about, such as `chatId`, `messageId` and `runId`. */
  readonly details: Readonly<Record<string, unknown>>
  readonly error?: unknown
}

/**
 * Gets the entries.
 *
 * @category models
 * @since 0.1.0
 */
export type StopsLog = (entry: StopsLogEntry) => void

/** Writes to the console; the default. */
export const consoleLog: StopsLog = ({ details, error, level, message }) => {
  const rest = [
    ...(Object.keys(details).length === 0 ? [] : [details]),
    ...(error === undefined ? [] : [error])
  ]
  console[methods[level]](`effect-cancellation: ${message}`, ...rest)
}

const methods = { info: "info", warning: "warn", error: "error" } as const
