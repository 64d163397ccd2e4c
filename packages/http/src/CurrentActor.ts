/**
 * Who presses Stop, or looks at one: asked of the application, which knows its sessions.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { CompanyId, UserId } from "effect-cancellation"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { authenticated } from "./internal/authenticate.ts"
import { Unauthenticated, Unavailable } from "./Problem.ts"

const ActorFields = Schema.Struct({
  companyId: Schema.optionalKey(CompanyId),
  userId: UserId,
  roles: Schema.Array(Schema.String)
})

/**
 * The person of a request. What it asks is looked for in the company of the actor alone; one without
 * a company is of the tenant `default`.
 *
 * @category services
 * @since 0.1.0
 */
export class Actor extends Context.Service<
  Actor,
  {
    readonly companyId?: CompanyId
    readonly userId: UserId
    /** In the application's own words. */
    readonly roles: ReadonlyArray<string>
  }
>()("effect-cancellation-http/Actor") {}

/**
 * Finds out who sends a request. There is no default: without it the Stop API does not type-check.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CurrentActor } from "effect-cancellation-http/CurrentActor"
 * import { Unauthenticated } from "effect-cancellation-http/Problem"
 *
 * declare const sessionOf: (cookie: string) => { company: string; user: string } | undefined
 *
 * const Actors = CurrentActor.layer((request) => {
 *   const session = sessionOf(request.cookies["session"] ?? "")
 *   return session === undefined
 *     ? Effect.fail(new Unauthenticated())
 *     : Effect.succeed({ companyId: session.company, userId: session.user })
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentActor extends HttpApiMiddleware.Service<CurrentActor, { provides: Actor }>()(
  "effect-cancellation-http/CurrentActor",
  { error: [Unauthenticated, Unavailable] }
) {
  /**
   * From a function of the application. It fails with `Unauthenticated` if nobody is logged in, and
   * with `Unavailable` if that cannot be found out now; so does one that takes longer than 10
   * seconds. Ids that are none are refused as if nobody were logged in, and so are roles that are no
   * list of strings, with a warning in the log.
   */
  static readonly layer = <R = never>(
    authenticate: (
      request: HttpServerRequest.HttpServerRequest
    ) => Effect.Effect<ActorInput, Unauthenticated | Unavailable, R>
  ): Layer.Layer<CurrentActor, never, R> =>
    Layer.effect(this, authenticated(Actor, authenticate, actorOf))
}

/**
 * What an application says of an actor; `roles` is empty by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface ActorInput {
  readonly companyId?: string | undefined
  readonly userId: string
  readonly roles?: ReadonlyArray<string> | undefined
}

const decode = Schema.decodeUnknownEffect(ActorFields)

// What is no list is not looked at as one: a part of a text would be a role too.
const actorOf = ({ companyId, roles = [], userId }: ActorInput) =>
  decode({ userId, roles, ...(companyId === undefined ? {} : { companyId }) }).pipe(
    Effect.tapError(() =>
      Effect.logWarning(
        "CurrentActor: the company or the user is no id (1 to 255 printable characters without quotes), or the roles are no list of strings, so the request was refused"
      )
    ),
    Effect.mapError(() => new Unauthenticated())
  )
