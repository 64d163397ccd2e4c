/**
 * Wherever a fiber may pause: what comes between two of its operations depends on how many it may take
 * before it yields, and on how many turns it has had by then.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"

export interface Pause {
  /** Operations before a fiber yields. */
  readonly budget: number
  /** Times that the test yields before it goes on. */
  readonly turns: number
}

const pauses: ReadonlyArray<Pause> = Array.from({ length: 21 * 16 }, (_, index) => ({
  budget: 3 + Math.floor(index / 16),
  turns: index % 16
}))

/** The pauses with which a trial does not succeed; all are tried, one after the other. */
export const failuresOf = <E, R>(
  trial: (pause: Pause) => Effect.Effect<boolean, E, R>
): Effect.Effect<ReadonlyArray<Pause>, E, R> =>
  Effect.filter(pauses, (pause) => Effect.map(trial(pause), (succeeds) => !succeeds))

/** Lets the fibers of an effect take no more operations in a turn. */
export const pausing = ({ budget }: Pause) =>
  Effect.provideService(References.MaxOpsBeforeYield, budget)

/** Lets other fibers have their turns. */
export const takeTurns = ({ turns }: Pause): Effect.Effect<void> =>
  Effect.asVoid(Effect.replicateEffect(Effect.yieldNow, turns))
