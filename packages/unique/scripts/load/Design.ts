import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Address, Place } from "./Load.ts"

/** A way to watch all messages, which begins as it is told and ends with the scope. */
export type Design = (options: {
  readonly address: Address
  readonly pollMillis: number
  readonly chunkSize: number | undefined
  /** Begins the run of each message when its time has come. */
  readonly starts: <A, R>(
    begin: (message: {
      readonly index: number
      readonly place: Place
    }) => Effect.Effect<A, never, R>
  ) => Effect.Effect<void, never, R>
  /** The work of this message was interrupted. */
  readonly interrupted: (index: number) => void
}) => Effect.Effect<void, never, Scope.Scope>
