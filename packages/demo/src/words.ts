/**
 * What the command line says of runs and times.
 */
import type { RunOutcome } from "effect-cancellation"

/** How long this was: the two largest units, of which nobody needs more. */
export const age = (millis: number): string => {
  const seconds = Math.max(0, Math.round(millis / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return two(minutes, "min", seconds % 60, "s")
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return two(hours, "h", minutes % 60, "min")
  return two(Math.floor(hours / 24), "d", hours % 24, "h")
}

const two = (large: number, unit: string, small: number, smaller: string): string =>
  small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smaller}`

/** What is known of a process that has said nothing for so many seconds. */
export const silence = (seconds: number): string => `no sign of life for ${age(seconds * 1000)}`

/** How a run ended. */
export const outcomeInWords = (outcome: RunOutcome): string =>
  outcome === "lost" ? "lost, because its process died or was cut off" : outcome
