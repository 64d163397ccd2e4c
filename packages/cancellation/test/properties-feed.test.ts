/**
 * The laws marked P of what a process does for its runs, over random interleavings in virtual time.
 *
 * `npm run laws -- --runs 100000` tries more schedules, `npm run laws -- --seed 42` the same again.
 */
import { describe, test } from "vitest"
import { anyBudget } from "./schedule.ts"
import { hold, runs, seed, timeout } from "./schedule/hold.ts"
import { aim, hintsAreHints, nothingLeaks } from "./schedule/laws.ts"

describe(
  `laws over random interleavings (seed ${seed}, ${runs} schedules each)`,
  { timeout },
  () => {
    test("Law 11 (P): Nothing leaks after the run", async () => {
      await hold(nothingLeaks, {
        budget: anyBudget,
        weights: { fault: 5, interrupt: 4, signal: 3 },
        least: {
          "a cancelled run": 35,
          "abandoned work": 2,
          "an outer interrupt": 20,
          "a handler that ran": 10,
          "a retarget": 10,
          "an outage": 50,
          "several runs at once": 60
        }
      })
    })

    test("Law 13 (P): Hints are only hints", async () => {
      await hold(hintsAreHints, {
        weights: { hint: 12, signal: 6, stop: 8, fault: 1, cancel: 0 },
        least: {
          "a cancelled run": 35,
          "a hint for nobody": 40,
          "a false hint": 10,
          "a hint that found a stop": 7,
          "a look at everything": 5,
          "detected by a poll": 2,
          "two processes": 40
        }
      })
    })

    test("Law 16 (P): Aim: only the run meant is stopped", async () => {
      await hold(aim, {
        weights: { start: 12, stop: 14, retarget: 4, cancel: 0 },
        least: {
          "a redelivery": 25,
          "a regeneration": 20,
          "a stop that came too late": 10,
          "a stop of a superseded run": 0.7,
          "a retarget": 15,
          "a cancelled turn of several segments": 4,
          "a run that is not stopped beside one that is": 25,
          "two processes": 40
        }
      })
    })
  }
)
