/**
 * A call to the store of texts, which may hang: it is given up after a while and not waited for.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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
      // Waits in fibers of its own, so that it ends in a finalizer too.
      const waited = Effect.timeoutOption(Fiber.await(fiber), limit)
      return restore(waited).pipe(
        Effect.onInterrupt(() => {
          fiber.interruptUnsafe()
          return waited
        }),
        Effect.flatMap((exit): Effect.Effect<A, MessageContentError> => {
          if (Option.isNone(exit)) {
            // A driver that hangs may not let itself be interrupted either.
            fiber.interruptUnsafe()
            return noAnswer(operation, `no answer within ${Duration.format(limit)}`)
          }
          return Exit.hasInterrupts(exit.value)
            ? noAnswer(operation, "it was interrupted from within")
            : exit.value
        })
      )
    })
  )

/** Whether trying again may help. */
export const isUnavailable = ({ reason }: MessageContentError): boolean =>
  reason._tag === "ContentUnavailable"

const noAnswer = (operation: string, why: string) =>
  Effect.fail(
    new MessageContentError({
      reason: new ContentUnavailable({ operation, cause: new Error(why) })
    })
  )
