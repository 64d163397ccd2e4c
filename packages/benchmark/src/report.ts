/**
 * The table in the terminal.
 */
import { type Bar, isMet, type Part, type PartResult, type Unit } from "./Part.ts"
import { median, spread } from "./statistics.ts"

export const printPart = (
  { about, name }: Part,
  { bars, figures, notes = [] }: PartResult,
  seconds: number
) => {
  console.log(`\n${name}  ${about}  (in ${Math.round(seconds)} s)`)
  for (const figure of figures) {
    const value = shown(median(figure.rounds), figure.unit)
    const half = Math.round(spread(figure.rounds) * 50)
    const range = figure.rounds.length > 1 && Number.isFinite(half) ? `  ±${half} %` : ""
    console.log(`  ${figure.name.padEnd(64)} ${value.padStart(12)}${range}`)
  }
  for (const bar of bars) console.log(`  ${mark(bar)} ${barLine(bar)}`)
  for (const note of notes) console.log(`  ${note}`)
}

export const printSummary = (
  results: ReadonlyMap<string, PartResult>,
  {
    failed,
    leftOut
  }: { readonly failed: ReadonlyArray<string>; readonly leftOut: ReadonlyArray<string> }
) => {
  const bars = Array.from(results.values()).flatMap((result) => result.bars)
  const met = `${bars.filter(isMet).length} of ${bars.length} bars met`
  // The clock began with this process.
  const took = lasting(Math.round(performance.now() / 1000))
  console.log(`\n${results.size === 0 ? "Nothing was measured" : met}, in ${took}`)
  if (failed.length > 0) console.log(`Failed: ${failed.join(", ")}`)
  if (leftOut.length > 0) console.log(`Left out, for want of PostgreSQL: ${leftOut.join(", ")}`)
}

const lasting = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`

export const shown = (value: number, unit: Unit): string => {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  const number = unit === "count" ? String(Math.round(value * 100) / 100) : value.toFixed(digits)
  return unit === "count" ? number : `${number} ${unit}`
}

const mark = (bar: Bar): string => (isMet(bar) ? "met   " : "MISSED")

const barLine = ({ atLeast, atMost, name, unit, value }: Bar): string =>
  `${name.padEnd(57)} ${shown(value, unit).padStart(12)}  (${
    atMost === undefined ? "at least" : "at most"
  } ${shown(atMost ?? atLeast ?? 0, unit)})`
