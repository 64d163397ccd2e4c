/**
 * Lets in only what this machine's own page sends.
 *
 * A server on 127.0.0.1 can be reached by every web page its user opens: one that resolves its own
 * name to this address (so `Host` is looked at), and one that posts across origins (so `Origin` and
 * the content type are).
 */
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type Problem, problem, respond } from "./Problem.ts"

const hosts = /^(127\.0\.0\.1|localhost)(:\d+)?$/

const headers = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin"
}

/** Looks at the host of every request, and says what its page may do unless that is said already. */
export const layer = HttpRouter.middleware(
  (handler) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      hosts.test(hostOf(request))
        ? Effect.map(handler, (response) =>
            HttpServerResponse.setHeaders(response, { ...headers, ...response.headers })
          )
        : Effect.succeed(respond(wrongHost))
    ),
  { global: true }
)

/** Looks at who sent a request to a route of the demo's own; the Stop API does so itself. */
export const guarded = <A, E, R>(handler: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request): Effect.Effect<A, E | Problem, R> => {
      const refusal = refusalOf(request)
      return refusal === undefined ? handler : Effect.fail(refusal)
    }
  )

const hostOf = ({ headers: sent }: HttpServerRequest.HttpServerRequest) => sent["host"] ?? ""

const wrongHost = problem(403, "Forbidden", "This server answers to 127.0.0.1 and localhost only.")

const refusalOf = (request: HttpServerRequest.HttpServerRequest) => {
  const { headers: sent, method } = request
  const origin = sent["origin"]
  if (origin !== undefined && origin !== `http://${hostOf(request)}`) {
    return problem(403, "Forbidden", "Only the page of this server may use it.")
  }
  if (method === "POST" && !/^application\/json\s*(;|$)/i.test(sent["content-type"] ?? "")) {
    return problem(415, "Unsupported media type", "Send JSON, with content-type application/json.")
  }
  return undefined
}
