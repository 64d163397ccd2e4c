/**
 * What a fault makes of one call.
 */
import * as Effect from "effect/Effect"
import { type MessageStoreError, type Run, unavailable } from "effect-cancellation"
import type { SteadyFault } from "../Fault.ts"
import { isAmong, malformed, type Spoilt } from "./answers.ts"
import type { Gate } from "./gate.ts"

export interface Call<A> {
  readonly operation: string
  /** The runs it is about, as far as the call names them. */
  readonly runs: ReadonlyArray<Run>
  /** What the store below does with it. */
  readonly healthy: Effect.Effect<A, MessageStoreError>
  readonly changed: Spoilt<A>
}

export const applyFault = <A>(
  fault: SteadyFault,
  call: Call<A>,
  gate: Gate
): Effect.Effect<A, MessageStoreError> => {
  const { changed, healthy, operation } = call
  switch (fault._tag) {
    case "Healthy":
      return healthy
    case "Slow":
      return Effect.andThen(Effect.sleep(fault.duration), healthy)
    case "Late":
      return Effect.tap(healthy, () => Effect.sleep(fault.duration))
    case "Fail":
      return Effect.fail(broken(operation))
    case "LoseAnswer":
      return Effect.andThen(healthy, Effect.fail(broken(operation)))
    case "Die":
      return Effect.die(new Error(`${operation} was told to die`))
    case "Hang":
      return Effect.andThen(gate.wait(), healthy)
    case "HangUninterruptibly":
      return Effect.uninterruptible(Effect.andThen(gate.wait(), healthy))
    case "Malformed":
      return spoilRows(fault.runs, call)
    case "Stale":
      return Effect.map(healthy, changed.stale)
    case "Nonsense":
    default:
      return Effect.map(healthy, changed.nonsense)
  }
}

const spoilRows = <A>(
  runs: ReadonlyArray<Run> | "all",
  { changed, healthy, operation, runs: asked }: Call<A>
): Effect.Effect<A, MessageStoreError> => {
  const isMalformed = isAmong(runs)
  const { malformed: spoil } = changed
  if (spoil !== undefined) return Effect.map(healthy, (answer) => spoil(answer, isMalformed))
  if (runs !== "all" && !asked.some(isMalformed)) return healthy
  return Effect.fail(malformed(operation))
}

const broken = (operation: string): MessageStoreError =>
  unavailable(operation, new Error("The store was told to fail"))
