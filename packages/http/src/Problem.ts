/**
 * What the APIs answer when they refuse: RFC 9457 problem documents, each with a stable `code`.
 *
 * A program looks at `code`, a person reads `detail`. `type` says the same as `code`, as a URI.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as HttpApiError from "effect/http-api/HttpApiError"

const typeOf = <const Code extends string>(code: Code) =>
  `urn:problem-type:effect-cancellation:${code}` as const

const codeOf = <const Code extends string>(code: Code) => ({ code: Schema.tag(code) })

/** After how many seconds it is worth trying again; also in the header `Retry-After`. */
const retryAfter = { retryAfter: Schema.Int }

/**
 * The request cannot be understood: an id, the body, its JSON. `detail` says which part.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: typeOf("invalid_request"), status: 400, title: "The request cannot be understood." },
  codeOf("invalid_request")
) {}

/**
 * Nobody is logged in, or what they showed is expired or garbled.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()(
  "Unauthenticated",
  { type: typeOf("unauthenticated"), status: 401, title: "Log in first." },
  codeOf("unauthenticated")
) {}

/**
 * The policy says that this may be seen, and not done.
 *
 * @category errors
 * @since 0.1.0
 */
export class Forbidden extends HttpApiError.Problem<Forbidden>()(
  "Forbidden",
  { type: typeOf("forbidden"), status: 403, title: "You may not do this." },
  codeOf("forbidden")
) {}

/**
 * The request was sent by a page of another site.
 *
 * @category errors
 * @since 0.1.0
 */
export class CrossSite extends HttpApiError.Problem<CrossSite>()(
  "CrossSite",
  { type: typeOf("cross_site"), status: 403, title: "Pages of other sites may not use this." },
  codeOf("cross_site")
) {}

/**
 * There is no such thing for whoever asks.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends HttpApiError.Problem<NotFound>()(
  "NotFound",
  { type: typeOf("not_found"), status: 404, title: "There is nothing here." },
  codeOf("not_found")
) {}

/**
 * The body did not come to its end in time.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooSlow extends HttpApiError.Problem<TooSlow>()(
  "TooSlow",
  { type: typeOf("too_slow"), status: 408, title: "The request took too long to arrive." },
  codeOf("too_slow")
) {}

/**
 * The body is larger than is read.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooLarge extends HttpApiError.Problem<TooLarge>()(
  "TooLarge",
  { type: typeOf("too_large"), status: 413, title: "The request is too large." },
  codeOf("too_large")
) {}

/**
 * The body is not declared to be JSON.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  {
    type: typeOf("unsupported_media_type"),
    status: 415,
    title: "Send JSON, with the content type application/json."
  },
  codeOf("unsupported_media_type")
) {}

/**
 * Too many new stops in too short a time. Repeating one never is.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimited extends HttpApiError.Problem<RateLimited>()(
  "RateLimited",
  { type: typeOf("rate_limited"), status: 429, title: "Too many requests." },
  { ...codeOf("rate_limited"), ...retryAfter }
) {}

/**
 * The server has failed, and has logged why.
 *
 * @category errors
 * @since 0.1.0
 */
export class InternalError extends HttpApiError.Problem<InternalError>()(
  "InternalError",
  { type: typeOf("internal_error"), status: 500, title: "This should not have happened." },
  codeOf("internal_error")
) {}

/**
 * The store of this server cannot do this.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotSupported extends HttpApiError.Problem<NotSupported>()(
  "NotSupported",
  { type: typeOf("not_supported"), status: 501, title: "This server cannot do this." },
  codeOf("not_supported")
) {}

/**
 * Something behind the server does not answer, so a stop is not known to be stored. Try again: to
 * stop twice is harmless.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable extends HttpApiError.Problem<Unavailable>()(
  "Unavailable",
  { type: typeOf("unavailable"), status: 503, title: "This cannot be done now; try again." },
  { ...codeOf("unavailable"), ...retryAfter }
) {}
