/**
 * What every request is looked at for before anything else, and what every refusal is made into.
 *
 * @since 0.1.0
 */
import { HttpApiMiddleware } from "effect/http-api"
import {
  CrossSite,
  InternalError,
  InvalidRequest,
  TooLarge,
  TooSlow,
  UnsupportedMediaType
} from "./Problem.ts"

/**
 * Refuses requests of other sites, bodies that are no JSON or too large, and what cannot be
 * understood. The server provides it; nobody else has to.
 *
 * @category services
 * @since 0.1.0
 */
export class RequestGuard extends HttpApiMiddleware.Service<RequestGuard>()(
  "effect-cancellation-http/RequestGuard",
  { error: [InvalidRequest, CrossSite, UnsupportedMediaType, TooLarge, TooSlow, InternalError] }
) {}
