/**
 * Medians, spreads and percentiles of what was measured.
 */

/** The value below which this part (0 to 1) of all values lies; NaN of none. */
export const percentile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** The middle value, or the mean of the two in the middle. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = sorted.length / 2
  const [low = Number.NaN, high = low] = sorted.slice(Math.ceil(middle) - 1, Math.floor(middle) + 1)
  return (low + high) / 2
}

/** From the lower to the upper quartile, as a part of the median: how far a figure can be trusted. */
export const spread = (values: ReadonlyArray<number>): number =>
  (percentile(values, 0.75) - percentile(values, 0.25)) / median(values)

/** The ratio of two figures, round by round, so that what slows a whole round cancels out. */
export const ratios = (
  ours: ReadonlyArray<number>,
  floor: ReadonlyArray<number>
): ReadonlyArray<number> => ours.map((value, round) => value / (floor[round] ?? Number.NaN))
