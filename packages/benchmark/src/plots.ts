/**
 * The plots that the READMEs show, drawn from the results.
 */
import fs from "node:fs"
import path from "node:path"
import { latencyPlot } from "./plots/latency.ts"
import { readsPlot } from "./plots/reads.ts"
import { type Row, rowsPlot } from "./plots/rows.ts"
import { folder, type Results } from "./results.ts"

/** Each plot whose figures there are, by the name of its file. */
export const plotsOf = (results: Results): Readonly<Record<string, string>> => {
  const plots = {
    reads: readsPlot(results),
    latency: latencyPlot(results),
    overhead: overheadPlot(results),
    memory: memoryPlot(results)
  }
  return Object.fromEntries(
    Object.entries(plots).flatMap(([name, svg]) => (svg === undefined ? [] : [[name, svg]]))
  )
}

export const drawPlots = (results: Results): void => {
  for (const [name, svg] of Object.entries(plotsOf(results))) {
    fs.writeFileSync(path.join(folder, `${name}.svg`), svg)
  }
}

const measuredInFloors = {
  overhead: "runWithCancellation",
  check: "check",
  isCancelled: "isCancelled",
  stream: "stream"
}

const overheadPlot = ({ parts }: Results): string | undefined => {
  const rows = Object.entries(measuredInFloors).flatMap(([part, label]): ReadonlyArray<Row> =>
    (parts[part]?.bars ?? [])
      .filter(({ unit }) => unit === "x")
      .map(({ atMost, name, value }) => {
        const kind = name.split(":")[0] ?? name
        return {
          label: kind === label ? label : `${label}, ${kind}`,
          value,
          tone: "ours",
          ...(atMost === undefined ? {} : { atMost })
        }
      })
  )
  if (rows.length === 0) return undefined
  return rowsPlot({
    title: "What the library adds",
    subtitle: "Times the bare operation of effect that does the same without a stop; 1 is nothing.",
    rows,
    shown: (value) => `${Number(value.toFixed(2))}×`,
    step: 1,
    even: 1
  })
}

const memoryPlot = ({ parts }: Results): string | undefined => {
  const { bars = [], figures = [] } = parts["memory"] ?? {}
  const of = (name: string) => figures.find((figure) => figure.name === name)?.median
  const fiber = of("bare fiber")
  const layer = of("bare layer")
  const hand = of("by hand")
  const watcher = of("the watcher: beyond the bare layer and its row")
  const atMost = bars[0]?.atMost
  if (fiber === undefined || layer === undefined || hand === undefined) return undefined
  if (watcher === undefined || atMost === undefined) return undefined
  return rowsPlot({
    title: "Heap of one run, while 10,000 wait",
    subtitle: "Fiber, layer and watcher together, without the rows of a store.",
    rows: [
      { label: "a bare fiber", value: fiber, tone: "bare" },
      { label: "in a bare layer", value: layer, tone: "bare" },
      { label: "a poller per run, no layer", value: hand, tone: "hand" },
      {
        label: "watched, with its layer",
        value: layer + watcher,
        tone: "ours",
        atMost: layer + atMost
      }
    ],
    shown: (value) => `${Number(value.toFixed(1))} KiB`,
    step: 2
  })
}
