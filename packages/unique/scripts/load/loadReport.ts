/** The load by itself. */
import { delaysOf, mistakesOf, percentile, ticksOf, windowsOf } from "./figures.ts"
import type { Load } from "./Load.ts"
import type { Pause } from "./probes.ts"
import { compare, type Report, type Row } from "./table.ts"
import type { Trial } from "./trial.ts"

export const loadReport = (options: {
  readonly load: Load
  readonly ours: Trial
  readonly byHand: Trial
}): Report => {
  const { byHand, load, ours } = options
  // The pollers of the usual design have no tick in common.
  const ticks = (trial: Trial) =>
    trial === ours ? ticksOf(trial) : windowsOf(trial, load.pollMillis)
  const delay = (percent: number) => (trial: Trial) =>
    percentile(
      delaysOf(trial).map(({ found, pressed }) => found - pressed),
      percent
    )
  const rows: ReadonlyArray<Row> = [
    {
      name: "requests in a tick (a poll interval), median",
      figure: (trial) => percentile(requestsOf(ticks(trial)), 50),
      digits: 0
    },
    {
      name: "requests in a tick, most",
      figure: (trial) => Math.max(...requestsOf(ticks(trial))),
      digits: 0
    },
    {
      name: "requests for one chat in a tick, most",
      figure: (trial) => Math.max(...ticks(trial).map(({ ofOneChat }) => ofOneChat)),
      digits: 0,
      bar: 1
    },
    { name: "requests in all", figure: ({ platform }) => platform.requests.length, digits: 0 },
    { name: "requests at once, most", figure: ({ platform }) => platform.maxConcurrent, digits: 0 },
    { name: "sockets opened", figure: ({ platform }) => platform.connections, digits: 0 },
    { name: "stop to interrupt, median (ms)", figure: delay(50), digits: 0 },
    {
      name: "stop to interrupt, p99 (ms)",
      figure: delay(99),
      digits: 0,
      bar: load.pollMillis + 500
    },
    { name: "stop to interrupt, max (ms)", figure: delay(100), digits: 0 },
    { name: "stops missed, or runs interrupted without", figure: mistakesOf, digits: 0, bar: 0 },
    { name: "event-loop delay, p99 (ms)", figure: ({ watch }) => watch.delay.p99 },
    { name: "event-loop delay, max (ms)", figure: ({ watch }) => watch.delay.max, bar: 20 },
    {
      name: "  while the whole heap is not collected (ms)",
      figure: ({ watch }) => longest(watch.late.filter(({ major }) => !major))
    },
    {
      name: "longest turn of a loop that never rests (ms)",
      figure: ({ watch }) => longest(watch.turns)
    },
    {
      name: "major collections",
      figure: ({ watch }) => watch.collections.major.count,
      digits: 0
    },
    {
      name: "major collection, longest (ms)",
      figure: ({ watch }) => watch.collections.major.longest
    },
    {
      name: "minor collection, longest (ms)",
      figure: ({ watch }) => watch.collections.minor.longest
    },
    { name: "processor time (ms each second)", figure: ({ watch }) => watch.cpu * 1000 },
    { name: "event loop busy (%)", figure: ({ watch }) => watch.busy * 100 },
    { name: "heap that the runs keep (MB)", figure: ({ watch }) => watch.heap / 2 ** 20 },
    { name: "memory of the process, most (MB)", figure: ({ watch }) => watch.maxRss / 2 ** 20 }
  ]
  const report = compare(rows, ours, byHand)
  return {
    ...report,
    lines: [
      ...report.lines,
      "Event-loop delay is a timer's of 1 ms, which is in it. A loop that never rests makes garbage itself.",
      ...[ours, byHand].flatMap((trial) => {
        const name = trial === ours ? "this library" : "a poller each"
        return [
          `Longest delays, ${name}: ${shown(trial.watch.late)}`,
          `Longest turns, ${name}: ${shown(trial.watch.turns)}`
        ]
      })
    ]
  }
}

const requestsOf = (ticks: ReadonlyArray<{ readonly requests: number }>) =>
  ticks.map(({ requests }) => requests)

const longest = (pauses: ReadonlyArray<Pause>) => Math.max(0, ...pauses.map(({ took }) => took))

const shown = (pauses: ReadonlyArray<Pause>): string =>
  pauses
    .slice(0, 5)
    .map(
      ({ at, collecting, major, own, took }) =>
        `${took.toFixed(1)} ms at ${at.toFixed(1)} s (${own.toFixed(1)} on the processor, ${collecting.toFixed(1)} collecting${major ? ", with the whole heap" : ""})`
    )
    .join(", ")
