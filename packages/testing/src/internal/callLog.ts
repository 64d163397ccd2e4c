/**
 * Counts calls, and lets a test wait for one instead of sleeping.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * What has been asked of one operation since the layer was built.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallCounts {
  /** Calls that have begun. */
  readonly calls: number
  /** Calls that have ended: answered, failed or interrupted. */
  readonly ended: number
  /** Calls that were interrupted before they had an answer. */
  readonly interrupted: number
  /** Calls that run now. */
  readonly inFlight: number
  /** The most calls that ever ran at once. */
  readonly maxInFlight: number
  /** How many rows each call was about, in the order the calls began. */
  readonly rows: ReadonlyArray<number>
}

type Phase = "calls" | "ended"

interface Waiter<Operation> {
  readonly operation: Operation
  readonly phase: Phase
  readonly nth: number
  readonly arrived: Deferred.Deferred<void>
}

export interface CallLog<Operation extends string> {
  /** Runs an effect as one call of the operation; what it will be is decided before it counts. */
  readonly track: <A, E>(
    operation: Operation,
    rows: number,
    decide: () => Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
  readonly counts: Effect.Effect<Readonly<Record<Operation, CallCounts>>>
  /** Waits until the n-th call has come so far; at once if it has. */
  readonly until: (operation: Operation, phase: Phase, nth: number) => Effect.Effect<void>
}

const none: CallCounts = {
  calls: 0,
  ended: 0,
  interrupted: 0,
  inFlight: 0,
  maxInFlight: 0,
  rows: []
}

export const makeCallLog = <Operation extends string>(
  operations: ReadonlyArray<Operation>
): CallLog<Operation> => {
  const log = new Map<Operation, CallCounts>()
  const waiters = new Set<Waiter<Operation>>()
  const read = (operation: Operation): CallCounts => log.get(operation) ?? none

  const write = (operation: Operation, counts: CallCounts): void => {
    log.set(operation, counts)
    for (const waiter of waiters) {
      if (waiter.operation !== operation || counts[waiter.phase] < waiter.nth) continue
      waiters.delete(waiter)
      Deferred.doneUnsafe(waiter.arrived, Effect.void)
    }
  }

  const begin = (operation: Operation, rows: number): void => {
    const before = read(operation)
    const inFlight = before.inFlight + 1
    write(operation, {
      ...before,
      calls: before.calls + 1,
      inFlight,
      maxInFlight: Math.max(before.maxInFlight, inFlight),
      rows: [...before.rows, rows]
    })
  }

  const end = (operation: Operation, exit: Exit.Exit<unknown, unknown>): void => {
    const before = read(operation)
    write(operation, {
      ...before,
      ended: before.ended + 1,
      interrupted: before.interrupted + (Exit.hasInterrupts(exit) ? 1 : 0),
      inFlight: before.inFlight - 1
    })
  }

  return {
    // Masked, so that no interruption falls between the beginning and the end that undoes it.
    track: (operation, rows, decide) =>
      Effect.uninterruptibleMask((restore) => {
        const effect = decide()
        begin(operation, rows)
        return Effect.onExit(restore(effect), (exit) => Effect.sync(() => end(operation, exit)))
      }),
    counts: Effect.sync(
      () =>
        Object.fromEntries(operations.map((operation) => [operation, read(operation)])) as Record<
          Operation,
          CallCounts
        >
    ),
    until: (operation, phase, nth) =>
      Effect.suspend(() => {
        if (read(operation)[phase] >= nth) return Effect.void
        const waiter = { operation, phase, nth, arrived: Deferred.makeUnsafe<void>() }
        waiters.add(waiter)
        const arrive = Effect.onInterrupt(Deferred.await(waiter.arrived), () =>
          Effect.sync(() => void waiters.delete(waiter))
        )
        // The waiter is woken from within the call: let that go as far as it can first.
        return Effect.andThen(arrive, Effect.yieldNow)
      })
  }
}
