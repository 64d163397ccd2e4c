/**
 * The laws marked P of what one run sees, over random interleavings in virtual time.
 *
 * `npm run laws -- --runs 100000` tries more schedules, `npm run laws -- --seed 42` the same again.
 */
import { describe, test } from "vitest"
import { hold, runs, seed, timeout } from "./schedule/hold.ts"
import { once, oneWinner, sticky } from "./schedule/laws.ts"

describe(
  `laws over random interleavings (seed ${seed}, ${runs} schedules each)`,
  { timeout },
  () => {
    test("Law 1 (P): Sticky: once cancelled, always cancelled, and not read for again", async () => {
      await hold(sticky, {
        weights: { check: 8, stop: 8, cancel: 2 },
        least: {
          "a cancelled run": 40,
          "detected by a check": 4,
          "detected by a poll": 2,
          "detected by a hint": 4,
          "detected at the start": 4,
          "detected from inside": 4,
          "a check of a cancelled run": 15,
          "several runs at once": 60,
          "an outage": 30
        }
      })
    })

    test("Law 2 (P): Once: one event, and each handler once", async () => {
      await hold(once, {
        weights: { check: 6, handler: 8, subscribe: 6, stopNow: 4 },
        least: {
          "a cancelled run": 40,
          "a handler that ran": 20,
          "a handler registered late": 10,
          "a handler dropped by its interrupted work": 8,
          "several subscribers of a cancelled run": 4,
          "a check of a cancelled run": 15
        }
      })
    })

    test("Law 7 (P): One winner: the flag decides as the work ends", async () => {
      await hold(oneWinner, {
        weights: { open: 8, stopNow: 6, cancel: 3, interrupt: 4, fault: 1, hint: 1, retarget: 1 },
        least: {
          "a cancelled wrap": 40,
          "a wrap of a cancelled run": 15,
          // In one of a hundred schedules: by chance it may be a third of that.
          "work that ended by itself after the stop": 0.25,
          "abandoned work": 3,
          "an outer interrupt": 20,
          "an outer interrupt of a cancelled wrap": 1,
          "a stop at the instant of an outer interrupt": 2,
          "a nested wrap in a cancelled wrap": 5,
          "a stream cut short": 3
        }
      })
    })
  }
)
