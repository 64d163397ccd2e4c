/**
 * The last results as a table, between the markers in the README.
 */
import fs from "node:fs"
import path from "node:path"
import { shown } from "./report.ts"
import type { KeptBar, KeptPart, Results } from "./results.ts"

const readme = path.join(import.meta.dirname, "..", "README.md")
const begin = "<!-- results: written by `npm run bench` -->"
const end = "<!-- /results -->"

/** Replaces the table in the README. */
export const writeTable = (results: Results): void =>
  fs.writeFileSync(readme, readmeWith(fs.readFileSync(readme, "utf8"), results))

/** The README with the table of these results. */
export const readmeWith = (text: string, results: Results): string => {
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`${readme} has no place for the results`)
  const table = [begin, "", ...lines(results), "", ""].join("\n")
  return text.slice(0, from) + table + text.slice(to)
}

const lines = ({ parts }: Results): ReadonlyArray<string> => {
  // A run of some parts leaves the others as they were, so not all need be of one day or machine.
  const origins = Array.from(new Set(Object.values(parts).map(originOf)))
  const namesFrom = (origin: string) =>
    Object.entries(parts).flatMap(([name, part]) =>
      originOf(part) === origin ? [`\`${name}\``] : []
    )
  return [
    "Measured on:",
    "",
    ...origins.map(
      (origin, index) => `${index + 1}. ${origin} Parts: ${namesFrom(origin).join(", ")}.`
    ),
    "",
    "| part | promise | measured | at most, or at least | | from |",
    "|---|---|---:|---:|---|---|",
    ...Object.entries(parts).flatMap(([name, part]) =>
      part.bars.map((bar) => row(name, bar, origins.indexOf(originOf(part)) + 1))
    )
  ]
}

const originOf = ({ date, machine, versions }: KeptPart): string => {
  const commit = versions.commit === undefined ? "" : `, commit ${versions.commit}`
  const postgres = versions.postgres === undefined ? "" : `, PostgreSQL ${versions.postgres}`
  return `${date.slice(0, 10)}${commit}: ${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.platform}; Node ${versions.node}, effect ${versions.effect}${postgres}.`
}

const row = (
  part: string,
  { atLeast, atMost, met, name, unit, value }: KeptBar,
  origin: number
): string => {
  const limit = atMost === undefined ? `at least ${shown(atLeast ?? 0, unit)}` : shown(atMost, unit)
  return `| \`${part}\` | ${name} | ${shown(value, unit)} | ${limit} | ${met ? "met" : "**missed**"} | ${origin} |`
}
