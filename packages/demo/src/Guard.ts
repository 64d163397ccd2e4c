/**
 * Lets in only what this machine's own page sends.
 *
 * A server on 127.0.0.1 can be reached by every web page its user opens: one that resolves its own
 * name to this address (so `Host` is looked at), and one that posts across origins (so `Origin` and
 * the content type are).
 */
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { problem, respond } from "./Problem.ts"

const hosts = /^(127\.0\.0\.1|localhost)(:\d+)?$/

const headers = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin"
}

export const layer = HttpRouter.middleware(
  (handler) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const refusal = refusalOf(request)
      return refusal === undefined
        ? Effect.map(handler, HttpServerResponse.setHeaders(headers))
        : Effect.succeed(respond(refusal))
    }),
  { global: true }
)

const refusalOf = ({ headers: sent, method }: HttpServerRequest.HttpServerRequest) => {
  const host = sent["host"] ?? ""
  if (!hosts.test(host)) {
    return problem(403, "Forbidden", "This server answers to 127.0.0.1 and localhost only.")
  }
  const origin = sent["origin"]
  if (origin !== undefined && origin !== `http://${host}`) {
    return problem(403, "Forbidden", "Only the page of this server may use it.")
  }
  if (method === "POST" && !/^application\/json\s*(;|$)/i.test(sent["content-type"] ?? "")) {
    return problem(415, "Unsupported media type", "Send JSON, with content-type application/json.")
  }
  return undefined
}
