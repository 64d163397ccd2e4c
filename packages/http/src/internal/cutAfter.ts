/**
 * An end also for whoever reads nothing.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { HttpServerError } from "effect/http"

/**
 * Cuts the connection of one who is told this stream for longer.
 *
 * Whoever reads nothing takes no end either. The fiber that would tell it is interrupted then, and
 * with it the connection cut, or each such client would be followed for for as long as it likes.
 */
export const cutAfter =
  (duration: Duration.Duration) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.unwrap(
      Effect.withFiber((teller) => {
        const cut = Effect.sync(() =>
          teller.interruptUnsafe(undefined, HttpServerError.ClientAbort.annotation)
        )
        return Effect.as(Effect.forkScoped(Effect.delay(cut, duration)), stream)
      })
    )
