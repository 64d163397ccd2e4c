/**
 * How many of the schedules contained what a law is about.
 */
import type { Schedule } from "../schedule.ts"
import { eventOf, isFlagged, type Trace } from "./trace.ts"

export interface Coverage {
  readonly count: (schedule: Schedule, trace: Trace) => void
  /** In percent of the schedules counted. */
  readonly shares: () => Readonly<Record<string, number>>
}

export const makeCoverage = (): Coverage => {
  const counts = new Map<string, number>()
  let schedules = 0
  return {
    count: (schedule, trace) => {
      schedules++
      for (const [what, happened] of Object.entries(whatHappened(schedule, trace))) {
        counts.set(what, (counts.get(what) ?? 0) + (happened ? 1 : 0))
      }
    },
    shares: () =>
      Object.fromEntries(
        Array.from(counts, ([what, count]) => [what, (100 * count) / Math.max(1, schedules)])
      )
  }
}

const whatHappened = (schedule: Schedule, trace: Trace): Record<string, boolean> => {
  const { aim, hints, sessions } = trace
  const wraps = sessions.flatMap((session) => session.wraps)
  const handlers = sessions.flatMap((session) => session.handlers)
  const streams = sessions.flatMap((session) => session.streams)
  const checks = sessions.flatMap((session) => session.checks)
  const cancelled = sessions.filter(isFlagged)
  const detectedBy = new Set(cancelled.map((session) => eventOf(session)?.detectedBy))
  return {
    "a cancelled run": cancelled.length > 0,
    "detected by a poll": detectedBy.has("poll"),
    "detected by a hint": detectedBy.has("hint"),
    "detected by a check": detectedBy.has("check"),
    "detected at the start": detectedBy.has("start"),
    "detected from inside": detectedBy.has("local"),
    "a cancelled wrap": wraps.some(({ began, returned }) => !began.flag && returned?.flag === true),
    "a wrap of a cancelled run": wraps.some(({ began }) => began.flag),
    "work that ended by itself after the stop": wraps.some(
      ({ workEnded }) => workEnded?.flag === true && workEnded.exit._tag === "Success"
    ),
    "abandoned work": wraps.some(
      ({ returned, workBegan, workEnded }) =>
        returned !== undefined &&
        workBegan !== undefined &&
        (workEnded === undefined || workEnded.seq > returned.seq)
    ),
    "an outer interrupt": wraps.some(({ interrupted }) => interrupted !== undefined),
    "an outer interrupt of a cancelled wrap": wraps.some(
      ({ began, interrupted }) => !began.flag && interrupted?.flag === true
    ),
    "a stop at the instant of an outer interrupt": sessions.some((session) => {
      const event = eventOf(session)
      return (
        event !== undefined &&
        session.wraps.some(({ interrupted }) => interrupted?.time === event.detectedAt)
      )
    }),
    "a nested wrap in a cancelled wrap": wraps.some(
      ({ began, parent, returned }) =>
        parent !== undefined && !began.flag && returned?.flag === true
    ),
    "a stream cut short": streams.some(
      ({ began, returned }) => !began.flag && returned?.flag === true
    ),
    "a handler that ran": handlers.some(({ events }) => events.length > 0),
    "a handler registered late": handlers.some(({ registered }) => registered.flag),
    "a handler dropped by its interrupted work": handlers.some(
      ({ registered, removed }) => !registered.flag && removed?.flag === true
    ),
    "a check of a cancelled run": checks.some(({ began }) => began.flag),
    "several subscribers of a cancelled run": cancelled.some(
      ({ subscribers }) => subscribers.length > 1
    ),
    "a retarget": sessions.some(({ segments }) => segments.length > 1),
    "a cancelled turn of several segments": cancelled.some(({ segments }) => segments.length > 1),
    "a redelivery": aim.counts.redelivered > 0,
    "a regeneration": aim.counts.regenerated > 0,
    "a stop that came too late": aim.counts.tooLate > 0,
    "a stop of a superseded run": aim.counts.superseded > 0,
    "a run that is not stopped beside one that is":
      aim.runs().some(({ stopped }) => stopped) && aim.runs().some(({ stopped }) => !stopped),
    "a hint for nobody": hints.some(({ watched }) => watched === 0),
    "a false hint": hints.some(({ watched }) => watched > 0),
    "a hint that found a stop": detectedBy.has("hint"),
    "a look at everything": hints.some(
      ({ about, watched }) => about === "everything" && watched > 0
    ),
    "an outage": schedule.steps.some((step) => step.do.act === "fault"),
    "several runs at once": sessions.length > 1,
    "two processes": new Set(sessions.map(({ spec }) => spec.process)).size > 1
  }
}
