/**
 * Tries a law on as many random schedules as were asked for, and says how to try a broken one again.
 */
import { setImmediate } from "node:timers/promises"
import * as fc from "fast-check"
import { type Act, type Schedule, schedules } from "../schedule.ts"
import { makeCoverage } from "./coverage.ts"
import type { Law } from "./laws.ts"
import { play } from "./world.ts"

// With fewer schedules the shares say little.
const enough = 1000

export const runs = Number(process.env["LAWS_RUNS"] ?? 2000)
/** Slow machines take longer, and more schedules take as long as they take. */
export const timeout = process.env["LAWS_RUNS"] === undefined ? 120_000 : 0
const exploring = process.env["LAWS_RUNS"] !== undefined
export const seed = Number(process.env["LAWS_SEED"] ?? Date.now() % 0x7fffffff)

const describeSchedule = (schedule: Schedule | undefined): string => {
  if (schedule === undefined) return "(none)"
  const { steps, ...world } = schedule
  return [world, ...steps].map((one) => JSON.stringify(one)).join("\n")
}

interface Needs {
  /** Kinds of act that are more (or less) frequent than usual. */
  readonly weights?: Partial<Record<Act["act"], number>>
  /** How many operations a fiber takes before it pauses, when `npm run laws` looks for the rarest. */
  readonly budget?: fc.Arbitrary<number>
  /** Of how many percent of the schedules what must have happened in them, at least. */
  readonly least: Readonly<Record<string, number>>
}

export const hold = async (law: Law, { budget, least, weights }: Needs): Promise<void> => {
  const coverage = makeCoverage()
  let played = 0
  const property = fc.asyncProperty(
    schedules(weights, exploring ? budget : undefined),
    async (schedule: Schedule) => {
      // The test runner must hear from its worker now and then, or takes it for dead.
      if (played++ % 100 === 0) await setImmediate()
      const trace = play(schedule)
      coverage.count(schedule, trace)
      const wrong = law(trace)
      if (wrong.length > 0) throw new Error(wrong.join("\n"))
    }
  )
  const found = await fc.check(property, { numRuns: runs, seed })
  if (found.failed) {
    throw new Error(
      [
        `broken by schedule ${found.numRuns} of seed ${found.seed}`,
        `try it again: npm run laws -- --seed ${found.seed} --runs ${runs}`,
        found.errorInstance instanceof Error ? found.errorInstance.message : "",
        `the smallest schedule found (${found.numShrinks} times shrunk):`,
        describeSchedule(found.counterexample?.[0])
      ].join("\n"),
      { cause: found.errorInstance }
    )
  }
  // A law that never met what it is about has shown nothing.
  const shares = coverage.shares()
  const rare = Object.entries(least).filter(([what, share]) => (shares[what] ?? 0) < share)
  if (rare.length > 0 && runs >= enough) {
    throw new Error(
      `The schedules of seed ${found.seed} show too little: ${rare
        .map(([what, share]) => `${what} in ${shares[what] ?? 0} % of them, not ${share} %`)
        .join("; ")}`
    )
  }
}
