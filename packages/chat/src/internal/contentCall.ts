/**
 * A call to the store of texts, which may hang: it is given up after a while and not waited for.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ContentUnavailable, MessageContentError } from "effect-cancellation"

/**
 * Answers within the limit, or fails as unavailable. An interrupt from outside ends the call too, and
 * waits for its end, at most as long again.
 */
export const within = <A>(
  limit: Duration.Duration,
  operation: string,
  call: Effect.Effect<A, MessageContentError>
): Effect.Effect<A, MessageContentError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(call, { startImmediately: true }), (fiber) => {
      const tooLate = Effect.flatMap(Effect.sleep(limit), () => {
        // A driver that hangs may not let itself be interrupted either.
        fiber.interruptUnsafe()
        return Effect.fail(noAnswer(operation, limit))
      })
      // Both are interruptible in fibers of their own, also where this runs in a finalizer.
      const raced = Effect.raceFirst(
        Effect.interruptible(Fiber.join(fiber)),
        Effect.interruptible(tooLate)
      )
      return Effect.onInterrupt(restore(raced), () => {
        fiber.interruptUnsafe()
        return Effect.timeoutOption(Fiber.await(fiber), limit)
      })
    })
  )

/** Whether trying again may help. */
export const isUnavailable = ({ reason }: MessageContentError): boolean =>
  reason._tag === "ContentUnavailable"

const noAnswer = (operation: string, limit: Duration.Duration) =>
  new MessageContentError({
    reason: new ContentUnavailable({
      operation,
      cause: new Error(`no answer within ${Duration.format(limit)}`)
    })
  })
