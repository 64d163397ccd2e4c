/**
 * Statements a tick by the number of watched runs.
 */
import type { Results } from "../results.ts"
import { card, decades, dot, line, logarithmic, path, text, type Tone } from "./svg.ts"

const width = 760
const height = 400
const left = 70
const right = width - 170
const top = 76
const bottom = height - 56

export const readsPlot = ({ parts }: Results): string | undefined => {
  const figures = parts["reads"]?.figures ?? []
  const pointsOf = (who: string) =>
    figures.flatMap(({ median, name }): ReadonlyArray<readonly [number, number]> => {
      const runs = name.endsWith(`: ${who}`) ? Number.parseInt(name, 10) : 0
      return runs > 0 && median > 0 ? [[runs, median]] : []
    })
  const ours = pointsOf("effect-cancellation")
  const hand = pointsOf("by hand")
  const most = ours.at(-1)
  if (most === undefined) return undefined
  const x = logarithmic([1, 100_000], [left, right])
  const y = logarithmic([0.7, 20_000], [bottom, top])
  const series = (points: ReadonlyArray<readonly [number, number]>, tone: Tone, label: string) => {
    const placed = points.map(([runs, statements]) => [x(runs), y(statements)] as const)
    const last = placed.at(-1) ?? [left, bottom]
    return [
      path(placed, tone),
      ...placed.map(([cx, cy]) => dot(cx, cy, tone)),
      text(last[0] + 12, last[1] + 4, label, tone === "ours" ? "strong" : "")
    ]
  }
  return card({
    title: "Statements a tick, by the number of watched runs",
    subtitle:
      "One process, PostgreSQL, every run looked at every 2 seconds. Both axes logarithmic.",
    width,
    height,
    body: [
      ...decades(1, 100_000).flatMap((tick) => [
        line([x(tick), top], [x(tick), bottom], "grid"),
        text(x(tick), bottom + 20, tick.toLocaleString("en"), "small middle")
      ]),
      ...decades(1, 10_000).flatMap((tick) => [
        line([left, y(tick)], [right, y(tick)], "grid"),
        text(left - 10, y(tick) + 4, tick.toLocaleString("en"), "small end")
      ]),
      line([left, bottom], [right, bottom], "axis"),
      text((left + right) / 2, height - 14, "watched runs", "small middle"),
      text(20, top - 6, "statements a tick", "small"),
      ...series(hand, "hand", "a poller per run"),
      ...series(ours, "ours", "effect-cancellation")
    ]
  })
}
