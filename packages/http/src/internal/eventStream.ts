/**
 * An answer of server-sent events that has an end, also for whoever reads nothing.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { HttpServerError, HttpServerResponse } from "effect/http"

/** A sign of life: a comment, which no client takes for an event. */
export const alive = ": alive\n\n"

/**
 * Answers with bytes that end by themselves after `longest` at most. A client that has not taken the
 * end by the time of one more sign of life is cut off.
 */
export const eventStream = <E>(
  bytes: Stream.Stream<Uint8Array, E>,
  {
    keepAlive,
    longest
  }: { readonly keepAlive: Duration.Duration; readonly longest: Duration.Duration }
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(cutAfter(Duration.sum(longest, keepAlive))(bytes), {
    contentType: "text/event-stream",
    // Proxies that gather an answer before they pass it on would hold events back.
    headers: { "x-accel-buffering": "no" }
  })

// Whoever reads nothing takes no end either. The fiber that would tell it is interrupted then, and
// with it the connection cut, or each such client would be followed for for as long as it likes. It is
// the outermost, since what is inside may run in fibers of its own.
const cutAfter =
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
