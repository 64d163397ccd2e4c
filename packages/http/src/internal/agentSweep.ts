/**
 * When an agent may have runs marked as lost.
 *
 * After an outage of the store, or of the way to it, everybody's lease has expired: whoever sweeps
 * first would bury the runs of all others, those of other companies too. A store cannot tell, and an
 * agent may lie; so this server sweeps only after it has seen leases renewed for a while without a
 * gap, by whomever.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface AgentSweep {
  /** Notes how renewing a lease went. */
  readonly renewing: <A, E, R>(renewal: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly isAllowed: Effect.Effect<boolean>
}

export const makeAgentSweep = (after: Duration.Duration): AgentSweep => {
  const pause = Duration.toMillis(after)
  let unbrokenSince: number | undefined
  let renewedAt = 0

  const renewed = Effect.map(Clock.currentTimeMillis, (now) => {
    if (unbrokenSince === undefined || now - renewedAt >= pause) unbrokenSince = now
    renewedAt = now
  })
  const broken = Effect.sync(() => {
    unbrokenSince = undefined
  })

  return {
    renewing: (renewal) =>
      Effect.tap(
        Effect.tapError(renewal, () => broken),
        () => renewed
      ),
    isAllowed: Effect.map(
      Clock.currentTimeMillis,
      (now) =>
        unbrokenSince !== undefined &&
        now - unbrokenSince >= pause &&
        (pause === 0 || now - renewedAt < pause)
    )
  }
}
