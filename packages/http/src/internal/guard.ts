/**
 * Looks at a request before anything else does, and makes a problem of whatever was refused.
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import {
  HttpIncomingMessage,
  HttpServerRespondable,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApiError } from "effect/http-api"
import {
  CrossSite,
  InternalError,
  InvalidRequest,
  RateLimited,
  TooSlow,
  Unauthenticated,
  Unavailable,
  UnsupportedMediaType
} from "../Problem.ts"
import { RequestGuard } from "../RequestGuard.ts"
import { isReading } from "./requestBody.ts"

export interface GuardOptions {
  /** Pages that may call; `undefined` where no page does. */
  readonly allowedOrigins: ReadonlySet<string> | undefined
  /** In bytes. */
  readonly maxBody: number
  /** How one logs in, in the words of `WWW-Authenticate`; unknown where it is the application's own. */
  readonly challenge?: string
}

/** The guard of one group of routes. */
export const layerGuard = (options: GuardOptions): Layer.Layer<RequestGuard> =>
  Layer.succeed(RequestGuard, (handler) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const refusal = refusalOf(request, options)
      const answer: Effect.Effect<HttpServerResponse.HttpServerResponse, unknown> =
        refusal === undefined ? handler : Effect.fail(refusal)
      return answer.pipe(
        Effect.provideService(
          HttpIncomingMessage.MaxBodySize,
          ByteSize.fromInputUnsafe(options.maxBody)
        ),
        Effect.catchCause(answerOf(options)),
        Effect.map(HttpServerResponse.setHeaders(headers))
      )
    })
  )

// What is told is of one person and one moment.
const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" }

const refusalOf = (
  { headers: sent, method }: HttpServerRequest.HttpServerRequest,
  { allowedOrigins }: GuardOptions
) => {
  const { origin } = sent
  if (sent["sec-fetch-site"]?.toLowerCase() === "cross-site") {
    return new CrossSite({ detail: "A page of another site sent this." })
  }
  if (origin !== undefined && allowedOrigins?.has(origin) !== true) {
    return new CrossSite({
      detail: "The origin of the page that sent this is not among the allowedOrigins of the server."
    })
  }
  const isJson = /^application\/json\s*(;|$)/i.test(sent["content-type"] ?? "")
  return isReading(method) || isJson ? undefined : new UnsupportedMediaType()
}

const answerOf =
  ({ challenge }: GuardOptions) =>
  (cause: Cause.Cause<unknown>) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(Cause.fromReasons<never>(cause.reasons.filter(Cause.isInterruptReason)))
      : Effect.gen(function* () {
          const problem = yield* problemOf(cause)
          const response = yield* HttpServerRespondable.toResponse(problem)
          if (problem instanceof RateLimited || problem instanceof Unavailable) {
            return HttpServerResponse.setHeader(response, "retry-after", `${problem.retryAfter}`)
          }
          // The rest of the body may still be on its way.
          if (problem instanceof TooSlow) {
            return HttpServerResponse.setHeader(response, "connection", "close")
          }
          return problem instanceof Unauthenticated && challenge !== undefined
            ? HttpServerResponse.setHeader(response, "www-authenticate", challenge)
            : response
        })

const problemOf = (cause: Cause.Cause<unknown>) =>
  Effect.suspend((): Effect.Effect<HttpServerRespondable.Respondable> => {
    const failure = Result.getOrUndefined(Cause.findError(cause))
    const defect = Result.getOrUndefined(Cause.findDefect(cause))
    const error = failure ?? defect
    if (HttpApiError.HttpApiSchemaError.is(error) && isOfRequest(error)) {
      return Effect.succeed(new InvalidRequest({ detail: shorten(error.cause.message) }))
    }
    if (failure !== undefined && HttpServerRespondable.isRespondable(failure)) {
      return Effect.succeed(failure)
    }
    return Effect.as(Effect.logError("A request failed", cause), new InternalError())
  })

const isOfRequest = ({ kind }: HttpApiError.HttpApiSchemaError): boolean =>
  kind !== "Body" && kind !== "ResponseHeaders"

const shorten = (text: string): string => (text.length <= 300 ? text : `${text.slice(0, 300)}…`)
