/**
 * Failures of a store as problems.
 */
import * as Effect from "effect/Effect"
import type { MessageStoreError } from "effect-cancellation"
import { InternalError, NotFound, NotSupported, Unavailable } from "../Problem.ts"

/** In seconds: an outage that is short is over by then, one that is long is not made longer. */
const soon = 1

/** Nothing of what a store said leaves the server: it may name hosts, tables and other people's ids. */
export const ofStore = <A, R>(
  effect: Effect.Effect<A, MessageStoreError, R>
): Effect.Effect<A, StoreProblem, R> =>
  effect.pipe(
    Effect.catch(({ reason }): Effect.Effect<never, StoreProblem> => {
      switch (reason._tag) {
        case "StoreUnavailable":
          return Effect.andThen(
            Effect.logWarning(`A request was answered with 503. ${reason.message}`),
            Effect.fail(
              new Unavailable({
                detail:
                  "The store of stops does not answer. Ask again: it does no harm to stop twice.",
                retryAfter: soon
              })
            )
          )
        case "Unsupported":
          return Effect.fail(
            new NotSupported({ detail: `The store of this server has no ${reason.operation}.` })
          )
        case "RunNotFound":
          return Effect.fail(new NotFound({ detail: "There is no such run." }))
        case "MalformedRow":
          return Effect.andThen(
            Effect.logError(`A request was answered with 500. ${reason.message}`),
            Effect.fail(new InternalError())
          )
      }
    })
  )

type StoreProblem = InternalError | NotFound | NotSupported | Unavailable
