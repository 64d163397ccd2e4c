/** Counts what went well and what did not, from the reports and from the rows. */
import * as Console from "effect/Console"
import type { Entry, Journal } from "./Journal.ts"
import { stopsOf } from "./Journal.ts"
import type { Row } from "./Ledger.ts"

/** When a fault began and when it ended. */
export interface Fault {
  readonly from: number
  readonly to: number
}

export interface Figures {
  readonly runs: number
  readonly requested: number
  readonly detected: number
  /** Asked for and stored, and never seen by the run; or answered, and not stored. */
  readonly lost: number
  /** Seen, handled or ended twice. */
  readonly doubled: number
  /** Stored or seen where nobody asked, or in the wrong process, or cancelled for no reason. */
  readonly unasked: number
  /** Called lost though its process lived. */
  readonly calledLost: number
  readonly outcomesTwice: number
  /** Ended, and the store does not know how. */
  readonly leftOpen: number
  /** Detected, and the handler did not run. */
  readonly unhandled: number
  /** Milliseconds; of stops detected in the seconds after a fault, since its end or the answer. */
  readonly slowestAfter: number
  /** Milliseconds from the answer to the detection, far from any fault. */
  readonly slowestElse: number
}

export const figuresOf = (
  { entries, unknown }: Journal,
  rows: ReadonlyArray<Row>,
  faults: ReadonlyArray<Fault>
): Figures => {
  const byId = new Map(rows.map((row) => [row.run_id, row]))
  const all = Array.from(entries.values())
  const count = (isSuch: (entry: Entry, row: Row | undefined) => boolean) =>
    all.filter((entry) => isSuch(entry, byId.get(entry.run.runId))).length
  const isRequested = (entry: Entry, row: Row | undefined) =>
    entry.isAimed && (isAnswered(entry) || row?.stopped === true)
  const isDetected = (entry: Entry) => stopsOf(entry).length > 0
  const delays = all.flatMap((entry) => delayOf(entry, faults))
  const slowest = (isAfterFault: boolean) =>
    Math.max(0, ...delays.filter((one) => one.isAfterFault === isAfterFault).map(({ ms }) => ms))

  return {
    runs: all.length,
    requested: count((entry, row) => isRequested(entry, row) && !entry.isDead),
    detected: count((entry, row) => isRequested(entry, row) && isDetected(entry) && !entry.isDead),
    lost: count(
      (entry, row) =>
        !entry.isDead &&
        ((isRequested(entry, row) && !isDetected(entry)) ||
          (isAnswered(entry) && row?.stopped !== true))
    ),
    doubled: count((entry) => entry.detections.length > 1 || entry.handled > 1 || entry.ended > 1),
    unasked:
      unknown.length +
      count(
        (entry, row) =>
          (isDetected(entry) && !isRequested(entry, row)) ||
          (row?.stopped === true && !entry.isAimed) ||
          entry.detections.some(
            ({ by, process, reason }) =>
              process !== entry.process ||
              (by === "local" && reason !== "shutdown" && !entry.isDead)
          )
      ),
    calledLost: count((entry, row) => row?.outcome === "lost" && !entry.isDead),
    outcomesTwice: rows.filter(({ writes }) => writes > 1).length,
    leftOpen: count((_entry, row) => row !== undefined && row.outcome === null),
    unhandled: count((entry) => entry.detections.length > 0 && entry.handled === 0),
    slowestAfter: slowest(true),
    slowestElse: slowest(false)
  }
}

/** What is known of each stop that was lost, for whoever has to find out why. */
export const lostOf = ({ entries }: Journal, rows: ReadonlyArray<Row>) => {
  const byId = new Map(rows.map((row) => [row.run_id, row]))
  return Array.from(entries.values()).flatMap((entry) => {
    const row = byId.get(entry.run.runId)
    const isLost =
      isAnswered(entry) || row?.stopped === true
        ? stopsOf(entry).length === 0 || row?.stopped !== true
        : false
    const { answeredAt, detections, process, receipt, run } = entry
    return isLost && !entry.isDead
      ? [JSON.stringify({ runId: run.runId, process, receipt, answeredAt, detections, row })]
      : []
  })
}

const isAnswered = ({ receipt }: Entry) =>
  receipt === "Requested" || receipt === "Observed" || receipt === "Ended"

const delayOf = (entry: Entry, faults: ReadonlyArray<Fault>) => {
  const [detection] = stopsOf(entry)
  const { answeredAt } = entry
  if (detection === undefined || answeredAt === undefined) return []
  const { at } = detection
  // While it lasted nothing is promised.
  if (faults.some(({ from, to }) => from <= at && at < to)) return []
  const ends = faults.map(({ to }) => to).filter((to) => to <= at)
  const since = Math.max(answeredAt, ...ends.filter((to) => answeredAt < to))
  const isAfterFault = ends.some((to) => answeredAt < to + aftermath)
  return [{ isAfterFault, ms: Math.max(0, at - since) }]
}

// For so long a fault may still be felt.
const aftermath = 5000

const labels: Record<keyof Figures, string> = {
  runs: "runs started",
  requested: "stops requested",
  detected: "stops detected",
  lost: "stops lost",
  doubled: "doubled",
  unasked: "false",
  calledLost: "runs marked lost wrongly",
  outcomesTwice: "outcomes written twice",
  leftOpen: "outcomes missing",
  unhandled: "handlers missing",
  slowestAfter: "slowest after a fault (ms)",
  slowestElse: "slowest otherwise (ms)"
}

/** One table, to be read in the output of the tests. */
export const print = (title: string, figures: Figures) =>
  Console.log(
    [
      `\n${title}`,
      ...(Object.keys(labels) as ReadonlyArray<keyof Figures>).map(
        (key) => `  ${labels[key].padEnd(28)}${String(figures[key]).padStart(6)}`
      )
    ].join("\n")
  )
