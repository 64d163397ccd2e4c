/**
 * Once: whoever wins the race between the end of the work, the stop, the deadline, the shutdown and an
 * interrupt, and whatever the store of texts does meanwhile.
 *
 * `LAWS_RUNS=20000` tries more schedules, `LAWS_SEED=42` the same again.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { describe, test } from "vitest"
import {
  anyBudget,
  isInterrupted,
  play,
  type Schedule,
  schedulesWith,
  type Trace
} from "./once.fixture.ts"

const runs = Number(process.env["LAWS_RUNS"] ?? 200)
const exploring = process.env["LAWS_RUNS"] !== undefined
const timeout = exploring ? 0 : 120_000
const schedules = schedulesWith(exploring ? anyBudget : fc.constant(2048))
const seed = Number(process.env["LAWS_SEED"] ?? Date.now() % 0x7fffffff)

const storable = (text: string): string => text.toWellFormed().replaceAll("\0", "\ufffd")

const joined = (texts: ReadonlyArray<string>): string =>
  texts.filter((text) => text !== "").join("\n\n")

/** Every text that the message has shown on the way. */
const beginnings = (spoken: ReadonlyArray<string>): ReadonlySet<string> => {
  const whole = Array.from(spoken, (text) => text ?? "")
  const found = new Set([""])
  whole.forEach((text, step) => {
    for (let end = 0; end <= text.length; end++) {
      found.add(storable(joined([...whole.slice(0, step), text.slice(0, end)])))
    }
  })
  return found
}

const outcomeOf = ({ exit, reason }: Trace): string => {
  if (reason !== undefined) {
    return reason === "deadline" || reason === "shutdown" ? "interrupted" : "stopped"
  }
  if (exit === undefined || Exit.isSuccess(exit)) return "completed"
  return isInterrupted(exit) ? "interrupted" : "failed"
}

const wrong = (trace: Trace): ReadonlyArray<string> => {
  const complaints: Array<string> = []
  const must = (holds: boolean, what: string): void => {
    if (!holds) complaints.push(what)
  }
  const { answered, completions, loop, messages, processed, record, schedule, shown } = trace
  const [message] = messages
  // Fibers that pause after any few operations may hear of a stop between two of them.
  const inSteps = schedule.budget === 2048

  must(trace.isOver, "the run does not end")
  for (const { completedAt, ref } of messages) {
    const times = completions.get(ref.messageId) ?? 0
    must(times === 1, `message ${ref.messageId} was completed ${times} times`)
    must(completedAt !== undefined, `message ${ref.messageId} is not complete`)
  }

  if (inSteps) {
    must(
      processed.every(({ flag, resists }) => resists || !flag),
      "post-processing ended by itself after the stop"
    )
    must(trace.begunLate === 0, "a tool began after the stop")
    must(!(loop?.tag === "Completed" && loop.flag), "the loop said Completed after the stop")
    must(
      answered.every(({ done, flag }) => !done || !flag),
      "complete answered something after the stop"
    )
  }
  must(
    answered.every(({ done, stored }) => !done || stored),
    "complete answered something before the end was stored"
  )
  must(
    answered.every(({ done, flag }) => done || flag),
    "complete answered nothing without a stop"
  )

  const text = message?.text ?? ""
  must(beginnings(trace.spoken).has(text), `the text is ${JSON.stringify(text)}`)
  must(text.length >= storable(shown).length, "the text lacks what was shown")
  if (loop !== undefined) {
    must(text === storable(loop.text), `the text is not that of the result, ${loop.text}`)
  }
  must(
    (message?.stoppedStreamingAt !== undefined) === (text !== ""),
    "stoppedStreamingAt does not say whether there was a text"
  )

  must(
    record?.outcome === outcomeOf(trace),
    `the run ended as ${record?.outcome}, not ${outcomeOf(trace)}`
  )
  return complaints
}

/** What must have happened in so many percent of the schedules, or they have shown nothing. */
const least: Readonly<Record<string, { readonly share: number; in: (trace: Trace) => boolean }>> = {
  "a stop": { share: 10, in: ({ reason }) => reason === "user" || reason === "disconnect" },
  "a deadline": { share: 2, in: ({ reason }) => reason === "deadline" },
  "a shutdown": { share: 2, in: ({ reason }) => reason === "shutdown" },
  "an interrupt": { share: 2, in: ({ exit }) => exit !== undefined && isInterrupted(exit) },
  "a failure": {
    share: 5,
    in: ({ exit }) => exit !== undefined && Exit.isFailure(exit) && !isInterrupted(exit)
  },
  "an end by itself": { share: 8, in: ({ answered }) => answered.some(({ done }) => done) },
  "a stop of complete": { share: 1, in: ({ answered }) => answered.some(({ done }) => !done) },
  "a text": { share: 35, in: ({ messages }) => messages[0]?.text !== "" },
  "a turn of several messages": { share: 3, in: ({ messages }) => messages.length > 1 },
  "a fault": { share: 30, in: ({ fault }) => fault }
}

describe(`Once, over random interleavings (seed ${seed}, ${runs} schedules)`, { timeout }, () => {
  test("completedAt is written once, nothing is done after a stop, and the text is whole", async () => {
    const counts = new Map<string, number>()
    const property = fc.asyncProperty(schedules, async (schedule: Schedule) => {
      const trace = await Effect.runPromise(play(schedule))
      for (const [what, { in: isIn }] of Object.entries(least)) {
        if (isIn(trace)) counts.set(what, (counts.get(what) ?? 0) + 1)
      }
      const complaints = wrong(trace)
      if (complaints.length > 0) throw new Error(complaints.join("\n"))
    })
    const found = await fc.check(property, { numRuns: runs, seed })
    if (found.failed) {
      const { acts = [], ...world } = found.counterexample?.[0] ?? {}
      throw new Error(
        [
          `broken by schedule ${found.numRuns} of seed ${found.seed}`,
          `try it again: LAWS_SEED=${found.seed} LAWS_RUNS=${runs}`,
          found.errorInstance instanceof Error ? found.errorInstance.message : "",
          `the smallest schedule found (${found.numShrinks} times shrunk):`,
          ...[world, ...acts].map((one) => JSON.stringify(one))
        ].join("\n"),
        { cause: found.errorInstance }
      )
    }
    const rare = Object.entries(least).filter(
      ([what, { share }]) => (100 * (counts.get(what) ?? 0)) / runs < share
    )
    if (rare.length > 0 && runs >= 1000) {
      throw new Error(
        `The schedules of seed ${seed} show too little: ${rare
          .map(([what, { share }]) => `${what} ${counts.get(what) ?? 0} times, not in ${share} %`)
          .join("; ")}`
      )
    }
  })
})
