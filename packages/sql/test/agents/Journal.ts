/** All that a test knows of its runs: what it asked for, and what the processes reported. */
import type { DetectedBy, Run, StopReason, StopReceipt } from "effect-cancellation"
import type { Report } from "./messages.ts"

export interface Entry {
  readonly run: Run
  /** The process that runs it. */
  readonly process: string
  /** When the store's answer to a stop came. */
  answeredAt: number | undefined
  receipt: StopReceipt["_tag"] | undefined
  /** Somebody has begun to ask for its stop. */
  isAimed: boolean
  /** It was told to end by itself. */
  completing: boolean
  /** Its process was rightly called dead while it ran. */
  isDead: boolean
  readonly detections: Array<Detection>
  handled: number
  ended: number
}

export interface Detection {
  readonly process: string
  readonly by: DetectedBy
  readonly reason: StopReason
  readonly at: number
}

interface Line {
  readonly process: string
  readonly level: string
  readonly text: string
}

export type Journal = ReturnType<typeof makeJournal>

export const makeJournal = () => {
  // By the run's id alone: the tests give no two runs the same.
  const entries = new Map<string, Entry>()
  const lines: Array<Line> = []
  const ready = new Set<string>()
  const unknown: Array<string> = []

  const known = (run: Run): Entry | undefined => {
    const entry = entries.get(run.runId)
    if (entry === undefined) unknown.push(run.runId)
    return entry
  }

  return {
    entries,
    lines,
    ready,
    /** Runs that were reported and that nobody started. */
    unknown,
    begin: (run: Run, process: string): Entry => {
      const entry: Entry = {
        run,
        process,
        answeredAt: undefined,
        receipt: undefined,
        isAimed: false,
        completing: false,
        isDead: false,
        detections: [],
        handled: 0,
        ended: 0
      }
      entries.set(run.runId, entry)
      return entry
    },
    hear: (process: string, report: Report) => {
      switch (report._tag) {
        case "Ready":
          ready.add(process)
          break
        case "Detected":
          known(report.run)?.detections.push({ process, ...report })
          break
        case "Handled": {
          const entry = known(report.run)
          if (entry !== undefined) entry.handled++
          break
        }
        case "Ended": {
          const entry = known(report.run)
          if (entry !== undefined) entry.ended++
          break
        }
        case "Said":
          lines.push({ process, level: report.level, text: report.text })
      }
    },
    /** The sum of the numbers that the processes said in such lines. */
    sumOf: (pattern: RegExp) =>
      lines.reduce((sum, { text }) => sum + Number(pattern.exec(text)?.[1] ?? 0), 0),
    /** The processes that said something of the kind, once for each time. */
    said: (pattern: RegExp) =>
      lines.filter(({ text }) => pattern.test(text)).map(({ process }) => process)
  }
}

/** What is not of the process's own making: a stop that somebody asked for. */
export const stopsOf = (entry: Entry): ReadonlyArray<Detection> =>
  entry.detections.filter(({ by }) => by !== "local")
