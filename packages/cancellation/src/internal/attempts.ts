/**
 * Calls to a store that may hang.
 *
 * Each call runs in a fiber of its own. After the time limit, or when its caller is interrupted, the
 * call is interrupted and not waited for: a driver that resists interruption must hold up neither
 * the feed nor the agent. Such leftovers are counted for each operation; with two of them no further
 * call of that operation is made.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import { type MessageStoreError, unavailable } from "../MessageStoreError.ts"

const maxLeftovers = 2

const immediately = { startImmediately: true }

export interface Attempts {
  /**
   * Makes a call and answers how it went; never fails, and takes at most the time limit. An answer
   * that cannot be understood is none, and so is a defect: give it a call that throws at once suspended.
   */
  readonly make: <A>(
    operation: string,
    call: Effect.Effect<A, MessageStoreError>,
    understood?: (answer: A) => A
  ) => Effect.Effect<Exit.Exit<A, MessageStoreError>>
}

export const makeAttempts = (timeout: Duration.Duration): Attempts => {
  const leftovers = new Map<string, number>()

  const count = (operation: string) => (leftovers.size === 0 ? 0 : (leftovers.get(operation) ?? 0))

  const leave = (operation: string, fiber: Fiber.Fiber<unknown, unknown>): void => {
    fiber.interruptUnsafe()
    if (fiber.pollUnsafe() !== undefined) return
    leftovers.set(operation, count(operation) + 1)
    fiber.addObserver(() => {
      const left = count(operation) - 1
      if (left > 0) leftovers.set(operation, left)
      else leftovers.delete(operation)
    })
  }

  return {
    make: (operation, call, understood) =>
      Effect.uninterruptibleMask((restore) => {
        if (count(operation) >= maxLeftovers) {
          return Effect.succeed(
            Exit.fail(unavailable(operation, new Error("earlier calls still hang")))
          )
        }
        return Effect.flatMap(Effect.forkDetach(call, immediately), (fiber) => {
          const exit = fiber.pollUnsafe()
          if (exit !== undefined) return Effect.succeed(answerOf(operation, exit, understood))
          return Effect.flatMap(Effect.forkDetach(Effect.sleep(timeout)), (timer) =>
            restore(firstOf(fiber, timer)).pipe(
              // Also of an interrupt that came before anybody listened.
              Effect.onInterrupt(() =>
                Effect.sync(() => {
                  timer.interruptUnsafe()
                  leave(operation, fiber)
                })
              ),
              Effect.map((answer) => {
                if (answer !== undefined) return answerOf(operation, answer, understood)
                leave(operation, fiber)
                return Exit.fail(unavailable(operation, new Error("it took too long")))
              })
            )
          )
        })
      })
  }
}

/**
 * How the call went; nothing if the timer ended first. No race of effects, which is two more fibers:
 * this is on the way of every stop.
 */
const firstOf = <A, E>(
  call: Fiber.Fiber<A, E>,
  timer: Fiber.Fiber<void>
): Effect.Effect<Exit.Exit<A, E> | undefined> =>
  Effect.callback((resume) => {
    // Each may have ended by now, and is heard at once then.
    let ignoreCall = constVoid
    let ignoreTimer = constVoid
    ignoreTimer = timer.addObserver(() => {
      ignoreCall()
      resume(Effect.undefined)
    })
    ignoreCall = call.addObserver((exit) => {
      ignoreTimer()
      // Whoever waits goes on within this, and not before a timer has been taken down.
      try {
        resume(Effect.succeed(exit))
      } finally {
        timer.interruptUnsafe()
      }
    })
    return Effect.sync(() => {
      ignoreCall()
      ignoreTimer()
    })
  })

// A store that throws is a store that did not answer: it must not take the feed down with it.
const answerOf = <A>(
  operation: string,
  exit: Exit.Exit<A, MessageStoreError>,
  understood: ((answer: A) => A) | undefined
): Exit.Exit<A, MessageStoreError> => {
  if (Exit.isFailure(exit)) {
    return exit.cause.reasons.every(Cause.isFailReason)
      ? exit
      : Exit.fail(unavailable(operation, Cause.squash(exit.cause)))
  }
  if (understood === undefined) return exit
  try {
    const answer = understood(exit.value)
    return answer === exit.value ? exit : Exit.succeed(answer)
  } catch (error) {
    return Exit.fail(unavailable(operation, error))
  }
}
