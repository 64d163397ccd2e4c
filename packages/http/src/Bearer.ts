/**
 * Tokens in the header `Authorization`, for people and for agents.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/**
 * The token of a request, from its header `Authorization: Bearer …`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const bearerOf = (
  request: HttpServerRequest.HttpServerRequest
): Redacted.Redacted<string> | undefined => {
  const token = /^bearer +([\x21-\x7e]+) *$/i.exec(request.headers["authorization"] ?? "")?.[1]
  return token === undefined ? undefined : Redacted.make(token)
}
