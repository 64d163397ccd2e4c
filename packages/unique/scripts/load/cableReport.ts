/** The same load while the network is away for a while. */
import { delaysOf, mistakesOf, percentile } from "./figures.ts"
import { compare, type Report, type Row } from "./table.ts"
import type { Trial } from "./trial.ts"

export const cableReport = (ours: Trial, byHand: Trial): Report => {
  const foundAfter = (percent: number) => (trial: Trial) => {
    const { from, to } = outageOf(trial)
    const after = delaysOf(trial, from, to).map(({ found }) => found - to)
    return percentile(after, percent)
  }
  const count = (times: ReadonlyArray<number>, from: number, to: number) =>
    times.filter((at) => at >= from && at < to).length
  const meanwhile = (times: (trial: Trial) => ReadonlyArray<number>) => (trial: Trial) =>
    count(times(trial), outageOf(trial).from, outageOf(trial).to)
  const after = (times: (trial: Trial) => ReadonlyArray<number>) => (trial: Trial) =>
    count(times(trial), outageOf(trial).to, outageOf(trial).to + 5000)
  const made = ({ watch }: Trial) => watch.requests
  const opened = ({ watch }: Trial) => watch.sockets
  const rows: ReadonlyArray<Row> = [
    { name: "requests made meanwhile", figure: meanwhile(made), digits: 0 },
    { name: "sockets opened meanwhile", figure: meanwhile(opened), digits: 0 },
    { name: "requests made in the 5 s after", figure: after(made), digits: 0 },
    { name: "sockets opened in the 5 s after", figure: after(opened), digits: 0 },
    {
      name: "stops pressed meanwhile",
      figure: (trial) => delaysOf(trial, outageOf(trial).from, outageOf(trial).to).length,
      digits: 0
    },
    { name: "  network back to interrupt, median (ms)", figure: foundAfter(50), digits: 0 },
    { name: "  network back to interrupt, max (ms)", figure: foundAfter(100), digits: 0 },
    { name: "stops missed, or runs interrupted without", figure: mistakesOf, digits: 0, bar: 0 },
    { name: "lines logged of it", figure: (trial) => linesOf(trial).length, digits: 0, bar: 2 },
    { name: "event-loop delay, max (ms)", figure: ({ watch }) => watch.delay.max }
  ]
  const report = compare(rows, ours, byHand)
  const logged = linesOf(ours).map(
    ({ at, level, text }) =>
      `${((at - outageOf(ours).from) / 1000).toFixed(1).padStart(6)} s after it was pulled, ${level}: ${text}`
  )
  const levels = linesOf(ours)
    .map(({ level }) => level)
    .join(" ")
  return {
    lines: [...report.lines, ...logged],
    met: report.met && levels === "Warn Info"
  }
}

// Each stop has a line of its own.
const linesOf = ({ watch }: Trial) => watch.lines.filter(({ text }) => text !== "Run cancelled")

const outageOf = ({ outage }: Trial) => outage ?? { from: NaN, to: NaN }
