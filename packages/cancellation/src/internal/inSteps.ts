/**
 * Steps that are mostly done as they are called, and only now and then leave something to be waited
 * for: what opens and closes each run would be a dozen effects otherwise.
 */
import * as Effect from "effect/Effect"

/** Does something at once, and answers what is left of it: `Effect.void` if nothing is. */
export type Step<T> = (subject: T) => Effect.Effect<void>

/** What follows on the rest of a step, at once if nothing is left. */
export const afterRest = <A>(
  rest: Effect.Effect<void>,
  next: () => Effect.Effect<A>
): Effect.Effect<A> => (rest === Effect.void ? next() : Effect.flatMap(rest, next))

/** One step after the other, in one go as far as nothing is left of them. */
export const inSteps = <T>(
  subject: T,
  steps: ReadonlyArray<Step<T>>,
  from = 0
): Effect.Effect<void> => {
  for (let index = from; index < steps.length; index++) {
    const rest = steps[index]?.(subject) ?? Effect.void
    if (rest === Effect.void) continue
    return index + 1 === steps.length
      ? rest
      : Effect.flatMap(rest, () => inSteps(subject, steps, index + 1))
  }
  return Effect.void
}
