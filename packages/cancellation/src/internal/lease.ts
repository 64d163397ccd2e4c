/**
 * The claim of this process that it is alive, and the sweep of those that are not.
 *
 * One row a process, one write an interval, whatever the number of its runs. A sweep comes only after
 * a whole lease of own renewals without a gap: after an outage everybody's lease has expired, and the
 * first to renew must not bury the others.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Lease, MessageStore } from "../MessageStore.ts"
import { understoodRows } from "./answers.ts"
import type { Attempts } from "./attempts.ts"
import { annotations } from "./words.ts"

export interface LeaseHolder {
  /** One more reason to hold the lease; a step. */
  readonly hold: () => Effect.Effect<void>
  /** One reason less; with none left nothing more is written. */
  readonly release: () => void
}

export const makeLeaseHolder = (options: {
  readonly store: MessageStore["Service"]
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly attempts: Attempts
  readonly lease: Lease
}): LeaseHolder => {
  const { attempts, context, lease, scope, store } = options
  const ttl = Duration.toMillis(lease.ttl)
  let reasons = 0
  let renewing: Fiber.Fiber<unknown> | undefined
  let unbrokenSince: number | undefined
  let renewedAt = 0

  const renew = Effect.gen(function* () {
    const exit = yield* attempts.make(
      "renewLease",
      Effect.suspend(() => store.renewLease(lease))
    )
    const now = yield* Clock.currentTimeMillis
    if (Exit.isFailure(exit)) {
      unbrokenSince = undefined
      return yield* Effect.logDebug("The lease could not be renewed; tried again", exit.cause)
    }
    // A process that was frozen comes back with a gap, and must earn its right to sweep again.
    if (unbrokenSince === undefined || now - renewedAt >= ttl) unbrokenSince = now
    renewedAt = now
    if (now - unbrokenSince >= ttl) yield* sweep
  })

  const sweep = Effect.gen(function* () {
    const exit = yield* attempts.make("sweepLost", store.sweepLost, understoodRows)
    if (Exit.isFailure(exit)) return yield* Effect.logDebug("No sweep for lost runs", exit.cause)
    for (const { owner, run } of exit.value) {
      yield* Effect.logWarning(`A run is lost: its process ${owner ?? "unknown"} is gone`).pipe(
        Effect.annotateLogs(annotations(run))
      )
    }
  })

  // Starting a run renews the lease in the same statement, so the first renewal can wait.
  const interval = Duration.millis(ttl / 3)
  const renewForever = Effect.sleep(interval).pipe(
    Effect.andThen(Effect.repeat(renew, Schedule.spaced(interval))),
    Effect.updateContext((_: Context.Context<never>) => context)
  )

  return {
    hold: () => {
      if (reasons++ > 0) return Effect.void
      return Effect.map(Effect.forkIn(renewForever, scope), (fiber) => {
        renewing = fiber
      })
    },
    release: () => {
      if (--reasons > 0) return
      renewing?.interruptUnsafe()
      unbrokenSince = undefined
    }
  }
}
