/**
 * Lets the rest of the process have its turn between the changes that a synchronous driver makes.
 *
 * What is ready at the same time would otherwise run in one go, and hold up everything else in the
 * process for as long as all of it takes.
 */
import * as Effect from "effect/Effect"

/** Waits for a turn of the event loop in which nobody else has been let go; does not wait if there is one. */
export const makeTurns = (): Effect.Effect<void> => {
  const waiting = new Set<() => void>()
  let taken = false

  const next = () => {
    const [first] = waiting
    if (first === undefined) {
      taken = false
      return
    }
    waiting.delete(first)
    setImmediate(next)
    first()
  }

  return Effect.callback<void>((resume) => {
    const go = () => resume(Effect.void)
    if (!taken) {
      taken = true
      setImmediate(next)
      return go()
    }
    waiting.add(go)
    return Effect.sync(() => {
      waiting.delete(go)
    })
  })
}
