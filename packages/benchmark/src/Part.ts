/**
 * What a part of the benchmark measures, and what it is held to.
 */

/** One thing that was measured, once a round. */
export interface Figure {
  /** Unique in its part: what was done, and by whom. */
  readonly name: string
  readonly unit: Unit
  readonly rounds: ReadonlyArray<number>
}

export type Unit = "ns" | "us" | "ms" | "s" | "KiB" | "kB" | "MiB" | "%" | "x" | "per s" | "count"

/** What is promised: a value that may be at most, or must be at least, so much. */
export interface Bar {
  readonly name: string
  readonly unit: Unit
  readonly value: number
  readonly atMost?: number
  readonly atLeast?: number
}

export interface PartResult {
  readonly figures: ReadonlyArray<Figure>
  readonly bars: ReadonlyArray<Bar>
  /** What a reader must know to read the figures. */
  readonly notes?: ReadonlyArray<string>
}

export interface PartOptions {
  /** Fewer rounds and smaller sizes, for a first look: its bars say little. */
  readonly quick: boolean
  /** It was asked for by name, so it may take the time it needs. */
  readonly named: boolean
  /** Of a database of the benchmark's own; parts that ask for one are left out without it. */
  readonly databaseUrl: string | undefined
}

/** How many rounds of what takes long: all seven if the part was asked for by name. */
export const roundsOfLong = ({ named, quick }: PartOptions, otherwise: number): number =>
  quick ? 1 : named ? 7 : otherwise

export interface Part {
  /** As it is named on the command line. */
  readonly name: string
  /** One line. */
  readonly about: string
  readonly needsDatabase: boolean
  /** Runs in a process of its own, with `--expose-gc`. */
  readonly run: (options: PartOptions) => Promise<PartResult>
}

/** Whether a bar is met. */
export const isMet = ({ atLeast, atMost, value }: Bar): boolean =>
  Number.isFinite(value) &&
  (atMost === undefined || value <= atMost) &&
  (atLeast === undefined || value >= atLeast)
