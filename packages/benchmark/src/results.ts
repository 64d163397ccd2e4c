/**
 * What was measured, as it is kept in `results/latest.json`.
 *
 * A run of some parts replaces these and leaves the others, so each part says when and on what it was
 * measured.
 */
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { type Machine, machine, type Versions, versions } from "./machine.ts"
import { type Bar, type Figure, isMet, type PartResult } from "./Part.ts"
import { median, spread } from "./statistics.ts"

export interface KeptFigure extends Figure {
  readonly median: number
  /** From the lower to the upper quartile, as a part of the median; null of a single value. */
  readonly spread: number | null
}

export interface KeptBar extends Bar {
  readonly met: boolean
}

export interface KeptPart {
  readonly about: string
  readonly date: string
  readonly machine: Machine
  readonly versions: Versions
  /** How many programs wanted the processor meanwhile: with more than it has cores, times say little. */
  readonly load: number
  /** How long it took; of results kept before this was, nobody knows. */
  readonly seconds?: number
  readonly figures: ReadonlyArray<KeptFigure>
  readonly bars: ReadonlyArray<KeptBar>
  readonly notes: ReadonlyArray<string>
}

export interface Results {
  readonly parts: Readonly<Record<string, KeptPart>>
}

export const folder = path.join(import.meta.dirname, "..", "results")
const file = path.join(folder, "latest.json")

export const kept = (
  about: string,
  { bars, figures, notes = [] }: PartResult,
  postgres: string | undefined,
  seconds: number
): KeptPart => ({
  about,
  date: new Date().toISOString(),
  machine: machine(),
  versions: versions(postgres),
  load: rounded(os.loadavg()[0] ?? 0),
  seconds: rounded(seconds),
  figures: figures.map((figure) => ({
    ...figure,
    rounds: figure.rounds.map(rounded),
    median: rounded(median(figure.rounds)),
    spread: figure.rounds.length > 1 ? rounded(spread(figure.rounds)) : null
  })),
  bars: bars.map((bar) => ({ ...bar, value: rounded(bar.value), met: isMet(bar) })),
  notes
})

// Four digits are more than any of them is worth.
const rounded = (value: number): number => Number(value.toPrecision(4))

export const readResults = (): Results => {
  if (!fs.existsSync(file)) return { parts: {} }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else writes it
  return JSON.parse(fs.readFileSync(file, "utf8")) as Results
}

/** Replaces the parts measured, in the order given, and answers all. */
export const writeResults = (
  measured: ReadonlyMap<string, KeptPart>,
  order: ReadonlyArray<string>
): Results => {
  const before = readResults().parts
  const parts = Object.fromEntries(
    order.flatMap((name) => {
      const part = measured.get(name) ?? before[name]
      return part === undefined ? [] : [[name, part] as const]
    })
  )
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(file, `${JSON.stringify({ parts }, undefined, 2)}\n`)
  return { parts }
}
