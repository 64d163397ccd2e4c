/** What agents of both kinds are given, and how figures are put together. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface World {
  /** A tool's work: changes the world each 10 ms, ten times. */
  readonly change: Effect.Effect<void>
  /** A look for a stop begins; what it answers with is called if the look finds none. */
  readonly look: () => () => void
  /** The stop is stored. */
  readonly stored: () => void
}

/** When what happened, in milliseconds since 1970. */
export interface Seen {
  readonly starts: Array<number>
  /** Tools that began by a look that began after the stop was stored, or without any look. */
  unasked: number
  readonly changes: Array<number>
}

interface Agent {
  /** Presses Stop; over when it is stored. */
  readonly stop: Effect.Effect<void>
  /** Waits until the agent does nothing any more. */
  readonly ended: Effect.Effect<void>
}

/** Starts an agent; what it needs goes with the scope. */
export type Loop = (options: {
  readonly id: string
  readonly baseUrl: string
  readonly world: World
  readonly onInterrupt: Effect.Effect<unknown>
}) => Effect.Effect<Agent, never, Scope.Scope>

export const percentile = (values: ReadonlyArray<number>, percent: number): number =>
  values.toSorted((one, other) => one - other)[
    Math.min(values.length - 1, Math.floor((values.length * percent) / 100))
  ] ?? Number.NaN

export const median = (values: ReadonlyArray<number>): number => percentile(values, 50)
