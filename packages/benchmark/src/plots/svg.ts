/**
 * The little of SVG that the plots need: text that can be selected, a card that is readable on light
 * and dark pages, and scales.
 */

export interface Card {
  readonly title: string
  /** One line under the title. */
  readonly subtitle: string
  readonly width: number
  readonly height: number
  readonly body: ReadonlyArray<string>
}

/** The colours by what they stand for; the same in all plots. */
export type Tone = "ours" | "hand" | "bare" | "limit"

// An image cannot know the page's colours, only what the reader's system prefers: so it brings a
// ground of its own, and is readable even where the page is of the other kind. Text is edged in that
// ground, so that no line runs through it.
const style = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif; fill: #1f2328; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; paint-order: stroke }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .strong { font-weight: 600 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .inside { fill: #ffffff; stroke: none }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .grid { stroke: #e4e8ec }
  .axis { stroke: #9aa4ae }
  .fill-ours { fill: #0a64c8 } .line-ours { stroke: #0a64c8 }
  .fill-hand { fill: #c2590c } .line-hand { stroke: #c2590c }
  .fill-bare { fill: #6e7781 } .line-bare { stroke: #6e7781 }
  .fill-limit { fill: #cf222e } .line-limit { stroke: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; stroke: #161b22 }
    .small { fill: #a3adb8 }
    .inside { fill: #0d1117; stroke: none }
    .card { fill: #161b22; stroke: #3d444d }
    .grid { stroke: #2c333b }
    .axis { stroke: #6b7480 }
    .fill-ours { fill: #58a6ff } .line-ours { stroke: #58a6ff }
    .fill-hand { fill: #f0883e } .line-hand { stroke: #f0883e }
    .fill-bare { fill: #8b949e } .line-bare { stroke: #8b949e }
    .fill-limit { fill: #ff7b72 } .line-limit { stroke: #ff7b72 }
  }
`

export const card = ({ body, height, subtitle, title, width }: Card): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(`${title}: ${subtitle}`)}">`,
    `<style>${style}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
    text(20, 30, title, "title"),
    text(20, 50, subtitle, "small"),
    ...body,
    "</svg>",
    ""
  ].join("\n")

export const text = (x: number, y: number, content: string, classes = ""): string =>
  `<text x="${at(x)}" y="${at(y)}"${classes === "" ? "" : ` class="${classes}"`}>${escaped(content)}</text>`

export const line = (
  from: readonly [number, number],
  to: readonly [number, number],
  classes: string,
  more = ""
): string =>
  `<line x1="${at(from[0])}" y1="${at(from[1])}" x2="${at(to[0])}" y2="${at(to[1])}" class="${classes}"${more === "" ? "" : ` ${more}`}/>`

export const rect = (
  x: number,
  y: number,
  width: number,
  height: number,
  classes: string
): string =>
  `<rect x="${at(x)}" y="${at(y)}" width="${at(Math.max(1, width))}" height="${at(height)}" rx="2" class="${classes}"/>`

export const dot = (x: number, y: number, tone: Tone): string =>
  `<circle cx="${at(x)}" cy="${at(y)}" r="4" class="fill-${tone}"/>`

export const path = (points: ReadonlyArray<readonly [number, number]>, tone: Tone): string =>
  `<path d="M${points.map(([x, y]) => `${at(x)} ${at(y)}`).join("L")}" fill="none" stroke-width="2" class="line-${tone}"${tone === "limit" ? ` stroke-dasharray="5 4"` : ""}/>`

export type Scale = (value: number) => number

export const linear =
  (domain: readonly [number, number], range: readonly [number, number]): Scale =>
  (value) =>
    range[0] + ((value - domain[0]) / (domain[1] - domain[0])) * (range[1] - range[0])

export const logarithmic = (
  domain: readonly [number, number],
  range: readonly [number, number]
): Scale => {
  const scale = linear([Math.log10(domain[0]), Math.log10(domain[1])], range)
  return (value) => scale(Math.log10(value))
}

/** The powers of ten from one to another. */
export const decades = (from: number, to: number): ReadonlyArray<number> => {
  const first = Math.round(Math.log10(from))
  const last = Math.round(Math.log10(to))
  return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index))
}

const at = (value: number): string => String(Math.round(value * 10) / 10)

const escaped = (content: string): string =>
  content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")
