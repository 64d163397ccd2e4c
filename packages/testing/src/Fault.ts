/**
 * The ways a store misbehaves.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Run } from "effect-cancellation"

/**
 * One way to misbehave, made by {@link Fault}.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = SteadyFault | Flapping

/**
 * A fault that is the same at every call.
 *
 * @category models
 * @since 0.1.0
 */
export type SteadyFault =
  | { readonly _tag: "Healthy" }
  | { readonly _tag: "Slow"; readonly duration: Duration.Duration }
  | { readonly _tag: "Late"; readonly duration: Duration.Duration }
  | { readonly _tag: "Fail" }
  | { readonly _tag: "LoseAnswer" }
  | { readonly _tag: "Die" }
  | { readonly _tag: "Hang" }
  | { readonly _tag: "HangUninterruptibly" }
  | { readonly _tag: "Malformed"; readonly runs: ReadonlyArray<Run> | "all" }
  | { readonly _tag: "Stale" }
  | { readonly _tag: "Nonsense" }

/**
 * A fault that changes from call to call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flapping {
  readonly _tag: "Flapping"
  readonly faults: readonly [SteadyFault, ...Array<SteadyFault>]
}

const healthy: SteadyFault = { _tag: "Healthy" }

const flapping = (...faults: Flapping["faults"]): Fault => ({ _tag: "Flapping", faults })

/**
 * The faults a store can be given; what is not said is done by the store below as ever.
 *
 * ```ts
 * import { Fault } from "effect-cancellation-testing"
 *
 * const everyThirdCallFails = Fault.every(3, Fault.fail)
 * const upAndDown = Fault.flapping(Fault.fail, Fault.slow("2 seconds"), Fault.healthy)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Fault = {
  /** Does what it is asked. */
  healthy,
  /** Waits, then does it: what happens meanwhile is in the answer. */
  slow: (duration: Duration.Input): SteadyFault => ({
    _tag: "Slow",
    duration: Duration.fromInputUnsafe(duration)
  }),
  /** Does it, then waits: the answer is old when it arrives. */
  late: (duration: Duration.Input): SteadyFault => ({
    _tag: "Late",
    duration: Duration.fromInputUnsafe(duration)
  }),
  /** Does nothing and fails with `StoreUnavailable`. */
  fail: { _tag: "Fail" } as SteadyFault,
  /** Does it, then fails with `StoreUnavailable`: a connection that broke after the commit. */
  loseAnswer: { _tag: "LoseAnswer" } as SteadyFault,
  /** Does nothing and dies: a bug of the adapter. */
  die: { _tag: "Die" } as SteadyFault,
  /** Waits until it is interrupted or released; released, it does what it was asked. */
  hang: { _tag: "Hang" } as SteadyFault,
  /** Waits until it is released, whoever interrupts it; then it does what it was asked. */
  hangUninterruptibly: { _tag: "HangUninterruptibly" } as SteadyFault,
  /**
   * The rows of these runs, or of all, cannot be read: `stopRequests` answers them as failures and
   * the others as ever; any other operation that is asked about one fails with `MalformedRow`.
   */
  malformed: (runs: ReadonlyArray<Run> | "all" = "all"): SteadyFault => ({
    _tag: "Malformed",
    runs
  }),
  /** Answers without the stops, as a replica that lags behind. */
  stale: { _tag: "Stale" } as SteadyFault,
  /**
   * Answers everything twice, and stops of runs that nobody asked about: the same run of another
   * company, and another run of the same message.
   */
  nonsense: { _tag: "Nonsense" } as SteadyFault,
  /** Each call of an operation takes the next of these, over and over. */
  flapping,
  /** Every n-th call of an operation has the fault, the others are healthy. */
  every: (n: number, fault: SteadyFault): Fault => {
    const [first, ...rest] = Array.from({ length: Math.max(0, n - 1) }, () => healthy)
    return first === undefined ? fault : flapping(first, ...rest, fault)
  }
}
