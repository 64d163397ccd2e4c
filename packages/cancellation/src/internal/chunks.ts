/**
 * How many runs a statement takes: fewer after a failure, up to all again after a success.
 *
 * One run that the store refuses must not keep the others out for ever; halved often enough, the
 * statement that fails holds it alone.
 */
export interface Chunks {
  readonly size: () => number
  readonly failed: (length: number) => void
  readonly succeeded: () => void
}

export const makeChunks = (most: number): Chunks => {
  let size = most
  return {
    size: () => size,
    failed: (length) => {
      size = Math.max(1, Math.floor(length / 2))
    },
    succeeded: () => {
      size = Math.min(most, size * 2)
    }
  }
}
