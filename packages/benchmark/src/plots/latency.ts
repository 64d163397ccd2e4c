/**
 * From the request of a stop to the interrupt: p50 and p99, by how the run hears of it.
 */
import type { KeptBar, KeptFigure, Results } from "../results.ts"
import { card, decades, dot, line, logarithmic, text, type Tone } from "./svg.ts"

interface Range {
  readonly label: string
  readonly tone: Tone
  readonly p50: number
  readonly p99: number
}

export const latencyPlot = ({ parts }: Results): string | undefined => {
  const groups = [1, 1000, 10_000].map((runs) => ({
    runs,
    ranges: [
      ...range(parts["latency"]?.figures, "bare UPDATE and NOTIFY", "bare", runs, {
        figure: "UPDATE + NOTIFY to notification"
      }),
      ...range(parts["latency"]?.figures, "a listener by hand", "hand", runs, {
        figure: "by hand"
      }),
      ...range(parts["latency"]?.figures, "effect-cancellation, push", "ours", runs, {
        figure: "requestStop to interrupt"
      }),
      ...polled(parts["latency-polling"]?.bars, runs)
    ]
  }))
  const filled = groups.filter(({ ranges }) => ranges.length > 0)
  if (filled.length === 0) return undefined
  const width = 760
  const left = 240
  const right = width - 130
  const top = 70
  const pitch = 24
  const all = filled.flatMap(({ ranges }) => ranges)
  const least = 10 ** Math.floor(Math.log10(Math.min(...all.map(({ p50 }) => p50))))
  const x = logarithmic([least, 10_000], [left, right])
  const body: Array<string> = []
  let y = top
  for (const { ranges, runs } of filled) {
    body.push(
      text(20, y + 16, `${runs.toLocaleString("en")} watched run${runs === 1 ? "" : "s"}`, "strong")
    )
    y += 26
    for (const { label, p50, p99, tone } of ranges) {
      body.push(
        text(left - 14, y + 12, label, tone === "ours" ? "end strong" : "end"),
        line([x(p50), y + 8], [x(p99), y + 8], `line-${tone}`, `stroke-width="4"`),
        dot(x(p50), y + 8, tone),
        line([x(p99), y + 1], [x(p99), y + 15], `line-${tone}`, `stroke-width="2"`),
        text(x(p99) + 10, y + 12, `${inWords(p50)} · ${inWords(p99)}`, "small")
      )
      y += pitch
    }
    y += 8
  }
  return card({
    title: "From the stop to the interrupt",
    subtitle:
      "In another process, PostgreSQL. Dot: half are faster (p50); stroke: 99 of 100 are (p99). Logarithmic.",
    width,
    height: y + 36,
    body: [
      ...decades(least, 10_000).flatMap((tick) => [
        line([x(tick), top], [x(tick), y], "grid"),
        text(x(tick), y + 18, inWords(tick), "small middle")
      ]),
      ...body
    ]
  })
}

const range = (
  figures: ReadonlyArray<KeptFigure> = [],
  label: string,
  tone: Tone,
  runs: number,
  { figure }: { readonly figure: string }
): ReadonlyArray<Range> => {
  const of = (part: string) =>
    figures.find(({ name }) => name === `${runs} runs: ${figure}, ${part}`)?.median
  const p50 = of("p50")
  const p99 = of("p99")
  return p50 === undefined || p99 === undefined ? [] : [{ label, tone, p50, p99 }]
}

// As the table has it: of all stops together, not of the rounds.
const polled = (bars: ReadonlyArray<KeptBar> = [], runs: number): ReadonlyArray<Range> => {
  const of = (part: string) =>
    bars.find(({ name }) => name === `${runs} runs: requestStop to interrupt, ${part}`)?.value
  const p50 = of("p50")
  const p99 = of("p99")
  return p50 === undefined || p99 === undefined
    ? []
    : [
        {
          label: "effect-cancellation, polling",
          tone: "ours",
          p50: p50 * 1000,
          p99: p99 * 1000
        }
      ]
}

const inWords = (millis: number): string =>
  millis >= 1000
    ? `${Number((millis / 1000).toPrecision(3))} s`
    : `${Number(millis.toPrecision(2))} ms`
