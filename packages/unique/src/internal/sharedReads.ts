/**
 * Reads that wait for their turn are shared: who asks for the same before the read has begun gets its
 * answer too. Once it has begun it may miss what is written from then on, so nobody joins it any more.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

interface Read<A, E> {
  readonly answer: Deferred.Deferred<A, E>
  waiters: number
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

export const makeSharedReads = <Q, A, E>(options: {
  readonly scope: Scope.Scope
  readonly keyOf: (question: Q) => string
  /** Waits for the question's turn. */
  readonly inTurn: (question: Q) => (read: Effect.Effect<A, E>) => Effect.Effect<A, E>
  readonly read: (question: Q) => Effect.Effect<A, E>
}): ((question: Q) => Effect.Effect<A, E>) => {
  const { inTurn, keyOf, scope } = options
  const waiting = new Map<string, Read<A, E>>()

  const leaveQueue = (key: string, read: Read<A, E>): void => {
    if (waiting.get(key) === read) waiting.delete(key)
  }

  const begin = (question: Q, key: string) => {
    const read: Read<A, E> = { answer: Deferred.makeUnsafe(), waiters: 1, fiber: undefined }
    waiting.set(key, read)
    const begun = Effect.suspend(() => {
      leaveQueue(key, read)
      return options.read(question)
    })
    return inTurn(question)(begun).pipe(
      Effect.forkIn(scope),
      Effect.map((fiber) => {
        read.fiber = fiber
        // Its end, and not the effect's: a fiber that is interrupted before it has begun runs none.
        fiber.addObserver((exit) => Deferred.doneUnsafe(read.answer, exit))
        return read
      })
    )
  }

  const join = (question: Q, key: string) =>
    Effect.suspend(() => {
      const read = waiting.get(key)
      if (read === undefined) return begin(question, key)
      read.waiters++
      return Effect.succeed(read)
    })

  return (question) =>
    Effect.suspend(() => {
      const key = keyOf(question)
      return Effect.acquireUseRelease(
        join(question, key),
        (read) => Deferred.await(read.answer),
        (read) =>
          Effect.sync(() => {
            if (--read.waiters > 0) return
            leaveQueue(key, read)
            read.fiber?.interruptUnsafe()
          })
      )
    })
}
