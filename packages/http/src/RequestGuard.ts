/**
 * What every request is looked at for before anything else, and what every refusal is made into.
 *
 * @since 0.1.0
 */
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import {
  CrossSite,
  InternalError,
  InvalidRequest,
  TooLarge,
  TooSlow,
  UnsupportedMediaType
} from "./Problem.ts"

/**
 * Refuses requests of other sites and bodies that are no JSON, and makes problems of all refusals.
 * The server provides it; nobody else has to.
 *
 * @category services
 * @since 0.1.0
 */
export class RequestGuard extends HttpApiMiddleware.Service<RequestGuard>()(
  "effect-cancellation-http/RequestGuard",
  { error: [InvalidRequest, CrossSite, UnsupportedMediaType, InternalError] }
) {}

/**
 * Reads the body, once it is known who sends it. One that is empty, too large or does not come is
 * refused. The server provides it; nobody else has to.
 *
 * @category services
 * @since 0.1.0
 */
export class RequestBody extends HttpApiMiddleware.Service<RequestBody>()(
  "effect-cancellation-http/RequestBody",
  { error: [InvalidRequest, TooLarge, TooSlow] }
) {}
