/**
 * Reads the body of a request, for as long as one may take to come.
 *
 * It is done before the payload is asked for, because a route that cannot be interrupted would wait
 * for ever for a body that never comes to its end; and after it is known who sends it, so that nobody
 * else can fill the memory.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { HttpServerRequest } from "effect/http"
import { InvalidRequest, TooLarge, TooSlow } from "../Problem.ts"
import { RequestBody } from "../RequestGuard.ts"

export const layerRequestBody = (bodyTimeout: Duration.Input): Layer.Layer<RequestBody> =>
  Layer.succeed(RequestBody, (handler) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      isReading(request.method) ? handler : Effect.andThen(bodyIn(request, bodyTimeout), handler)
    )
  )

/** Whether a request of this method has no body. */
export const isReading = (method: string): boolean => method === "GET" || method === "HEAD"

const bodyIn = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  bodyTimeout: Duration.Input
) {
  const body = yield* Effect.catchTag(
    readIn(request, bodyTimeout),
    "HttpServerError",
    ({ reason }) =>
      Effect.fail(
        reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
          ? new TooLarge()
          : new InvalidRequest({ detail: "The body could not be read." })
      )
  )
  if (body === "") {
    return yield* new InvalidRequest({
      detail: "The body is empty, or was read by somebody before; send {} at least."
    })
  }
})

// On a socket of Node an interrupt of the reading destroys the socket, and the answer with it: so one
// who is too slow is read on while the answer is sent.
const readIn = (request: HttpServerRequest.HttpServerRequest, bodyTimeout: Duration.Input) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      // A fiber of its own: a race would wait for the loser.
      Effect.forkDetach(Effect.interruptible(request.text), { startImmediately: true }),
      (reading) =>
        Effect.raceFirst(
          Effect.interruptible(Fiber.join(reading)),
          Effect.andThen(
            Effect.interruptible(Effect.sleep(bodyTimeout)),
            Effect.andThen(Effect.forkDetach(letGo(reading)), Effect.fail(new TooSlow()))
          )
        ).pipe(
          restore,
          Effect.onInterrupt(() => Effect.sync(() => reading.interruptUnsafe()))
        )
    )
  )

// Time for the answer to leave. Nothing else ends the reading for certain: the socket of Node is closed
// by then, but what was read from it need not notice, and behind a web handler nothing closes.
const letGo = (reading: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.raceFirst(
    Effect.asVoid(Fiber.await(reading)),
    Effect.andThen(
      Effect.sleep("1 second"),
      Effect.sync(() => reading.interruptUnsafe())
    )
  )
