/**
 * Asks the application who sends a request, for at most ten seconds.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { type Unauthenticated, Unavailable } from "../Problem.ts"
import { within } from "./within.ts"

/** A middleware that provides what `read` makes of the application's answer. */
export const authenticated = <Id, A, I, R>(
  provided: Context.Key<Id, A>,
  authenticate: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<I, Unauthenticated | Unavailable, R>,
  read: (input: I) => Effect.Effect<A, Unauthenticated>
) =>
  Effect.map(
    Effect.context<R>(),
    (context) =>
      <B, E, R2>(handler: Effect.Effect<B, E, R2>) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const input = yield* authenticate(request).pipe(
            Effect.provideContext(context),
            within("10 seconds", Effect.fail(tooLate))
          )
          return yield* Effect.provideService(handler, provided, yield* read(input))
        })
  )

const tooLate = new Unavailable({
  detail: "Who you are could not be found out in time; nothing was done.",
  retryAfter: 1
})
