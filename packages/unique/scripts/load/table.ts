/** Figures of both designs beside each other. */
import type { Trial } from "./trial.ts"

export interface Row {
  readonly name: string
  readonly figure: (trial: Trial) => number
  readonly digits?: number
  /** What this library must not exceed. */
  readonly bar?: number
}

export interface Report {
  readonly lines: ReadonlyArray<string>
  /** No bar is missed. */
  readonly met: boolean
}

export const compare = (rows: ReadonlyArray<Row>, ours: Trial, byHand: Trial): Report => {
  const judged = rows.map((row) => {
    const [own, usual] = [row.figure(ours), row.figure(byHand)]
    // NaN meets no bar.
    return { ...row, own, usual, met: row.bar === undefined || own <= row.bar }
  })
  const lines = judged.map(({ bar, digits = 1, met, name, own, usual }) =>
    line(
      name,
      own.toFixed(digits),
      usual.toFixed(digits),
      own === 0 || usual === 0 ? "" : (usual / own).toFixed(2),
      bar === undefined ? "" : `${met ? "met" : "MISSED"} (at most ${bar})`
    )
  )
  return {
    lines: [line("", "this library", "a poller each", "ratio", "bar"), ...lines],
    met: judged.every(({ met }) => met)
  }
}

const line = (name: string, ours: string, byHand: string, ratio: string, bar: string) =>
  `${name.padEnd(54)}${ours.padStart(13)}${byHand.padStart(15)}${ratio.padStart(8)}  ${bar}`.trimEnd()
