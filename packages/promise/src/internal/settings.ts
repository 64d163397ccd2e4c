/**
 * Looks at settings before they are used: all times are milliseconds.
 */
import type { StreamOptions, WatchOptions } from "../Run.ts"
import type { StopsOptions } from "../Stops.ts"

const wrong = (option: string, value: unknown, range: string): RangeError =>
  new RangeError(`${option} is ${shown(value)}; it must be ${range}.`)

const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : String(value)

/** A time that must pass. */
export const positive = (option: string, value: number | undefined): void => {
  if (value === undefined || (Number.isFinite(value) && value > 0)) return
  throw wrong(option, value, "milliseconds, finite and above zero")
}

/** A time that may be nothing. */
export const notNegative = (option: string, value: number | undefined): void => {
  if (value === undefined || (Number.isFinite(value) && value >= 0)) return
  throw wrong(option, value, "milliseconds, finite and not below zero")
}

/** A time that may be nothing, or without an end. */
const patience = (option: string, value: number | undefined): void => {
  if (value === Number.POSITIVE_INFINITY) return
  notNegative(option, value)
}

export const checkStreamOptions = (options: StreamOptions): void => {
  positive("pollInterval", options.pollInterval)
  patience("gracePeriod", options.gracePeriod)
}

export const checkWatchOptions = (options: WatchOptions): void => {
  checkStreamOptions(options)
  notNegative("handlerTimeout", options.handlerTimeout)
}

export const checkStopsOptions = (options: StopsOptions): void => {
  checkWatchOptions(options)
  positive("pollTimeout", options.pollTimeout)
  positive("leaseTtl", options.leaseTtl)
  positive("finalWriteTimeout", options.finalWriteTimeout)
  positive("maxBlind", options.maxBlind)
  const { chunkSize, processId } = options
  if (chunkSize !== undefined && !(Number.isSafeInteger(chunkSize) && chunkSize > 0)) {
    throw wrong("chunkSize", chunkSize, "a whole number above zero")
  }
  if (processId !== undefined && !printable.test(processId)) {
    throw wrong("processId", processId, "1 to 255 printable characters without quotes")
  }
}

// As the ids of the core, which is not loaded yet.
const printable = /^[^\p{C}\p{Zl}\p{Zp}"'`]{1,255}$/u
