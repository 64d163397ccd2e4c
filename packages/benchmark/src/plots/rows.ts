/**
 * A plot of rows: a bar from zero for each, and where it must end at most.
 */
import { card, line, linear, rect, text, type Tone } from "./svg.ts"

export interface Row {
  readonly label: string
  readonly value: number
  readonly tone: Tone
  readonly atMost?: number
}

export const rowsPlot = (options: {
  readonly title: string
  readonly subtitle: string
  readonly rows: ReadonlyArray<Row>
  readonly shown: (value: number) => string
  readonly step: number
  /** Where nothing is added or saved. */
  readonly even?: number
}): string => {
  const { even, rows, shown, step, subtitle, title } = options
  const width = 760
  const left = 310
  const right = width - 120
  const top = 74
  const pitch = 30
  const bottom = top + rows.length * pitch
  const most = Math.max(...rows.flatMap(({ atMost = 0, value }) => [value, atMost]))
  const end = Math.ceil(most / step) * step
  const x = linear([0, end], [left, right])
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step)
  const hasLimits = rows.some(({ atMost }) => atMost !== undefined)
  return card({
    title,
    subtitle,
    width,
    height: bottom + (hasLimits ? 62 : 40),
    body: [
      ...ticks.flatMap((tick) => [
        line([x(tick), top - 4], [x(tick), bottom], tick === 0 || tick === even ? "axis" : "grid"),
        text(x(tick), bottom + 18, shown(tick), "small middle")
      ]),
      ...rows.flatMap(({ atMost, label, tone, value }, index) => {
        const y = top + index * pitch
        return [
          text(left - 12, y + 17, label, tone === "ours" ? "end strong" : "end"),
          rect(left, y + 4, x(value) - left, 18, `fill-${tone}`),
          ...(atMost === undefined
            ? []
            : [line([x(atMost), y], [x(atMost), y + 26], "line-limit", `stroke-width="2.5"`)]),
          valueAt(left, x(value), y + 17, shown(value))
        ]
      }),
      ...(hasLimits
        ? [
            line([left, bottom + 42], [left + 18, bottom + 42], "line-limit", `stroke-width="2.5"`),
            text(left + 26, bottom + 46, "what is promised at most", "small")
          ]
        : [])
    ]
  })
}

// Within the end of its bar: beside it stands the limit, and it would be taken for that one's.
const valueAt = (start: number, end: number, y: number, value: string): string =>
  end - start >= 64 ? text(end - 8, y, value, "end inside") : text(end + 8, y, value)
