/**
 * Which agent sends a request, and which runs are its own: asked of the application, which has given
 * it its token.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CompanyId, Run } from "effect-cancellation"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { authenticated } from "./internal/authenticate.ts"
import { Unauthenticated, Unavailable } from "./Problem.ts"

/**
 * The runs that an agent may start, watch and end: all of one company, or those named. Without a
 * `companyId` the company is the tenant `default`.
 *
 * The leases of its processes are bound to it, so that nobody else can end them: those of an agent of
 * a company to that company, and those of one with named runs to `agent`. That is what you know it by:
 * the same in each of its tokens, also in one for more or fewer runs, and no other agent's.
 *
 * @category models
 * @since 0.1.0
 */
export const AgentScope = Schema.TaggedUnion({
  Company: { companyId: Schema.optionalKey(CompanyId) },
  Runs: { agent: Schema.NonEmptyString, runs: Schema.Array(Run) }
})
/** A value of {@link AgentScope}. @category models @since 0.1.0 */
export type AgentScope = typeof AgentScope.Type

/**
 * The agent of a request, which is what it may do. Every other run is to it as if it did not exist.
 *
 * @category services
 * @since 0.1.0
 */
export class Agent extends Context.Service<Agent, AgentScope>()("effect-cancellation-http/Agent") {}

/**
 * What an application says of an agent, as an {@link AgentScope}.
 *
 * @category models
 * @since 0.1.0
 */
export type AgentInput =
  | { readonly _tag: "Company"; readonly companyId?: string | undefined }
  | { readonly _tag: "Runs"; readonly agent: string; readonly runs: ReadonlyArray<Run> }

/**
 * Finds out which agent sends a request. There is no default: without it the Agent API does not
 * type-check.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { bearerOf } from "effect-cancellation-http/Bearer"
 * import { CurrentAgent } from "effect-cancellation-http/CurrentAgent"
 * import { Unauthenticated } from "effect-cancellation-http/Problem"
 * import type { Redacted } from "effect/Redacted"
 *
 * declare const companyOf: (token: Redacted<string> | undefined) => string | undefined
 *
 * const Agents = CurrentAgent.layer((request) => {
 *   const companyId = companyOf(bearerOf(request))
 *   return companyId === undefined
 *     ? Effect.fail(new Unauthenticated())
 *     : Effect.succeed({ _tag: "Company", companyId })
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentAgent extends HttpApiMiddleware.Service<CurrentAgent, { provides: Agent }>()(
  "effect-cancellation-http/CurrentAgent",
  { error: [Unauthenticated, Unavailable] }
) {
  /**
   * From a function of the application. It fails with `Unauthenticated` if the token is none of its
   * own or has expired, and with `Unavailable` if that cannot be found out now; so does one that takes
   * longer than 10 seconds. Ids and names that are none are refused as if there were no token, with a
   * warning in the log.
   */
  static readonly layer = <R = never>(
    authenticate: (
      request: HttpServerRequest.HttpServerRequest
    ) => Effect.Effect<AgentInput, Unauthenticated | Unavailable, R>
  ): Layer.Layer<CurrentAgent, never, R> =>
    Layer.effect(this, authenticated(Agent, authenticate, scopeOf))
}

const decodeScope = Schema.decodeUnknownOption(AgentScope)

// It may have been read from anywhere, of which the type knows nothing.
const scopeOf = (input: AgentInput): Effect.Effect<AgentScope, Unauthenticated> => {
  const isOfDefault = input._tag === "Company" && input.companyId === undefined
  return Option.match(decodeScope(isOfDefault ? { _tag: "Company" } : input), {
    onSome: Effect.succeed,
    onNone: () =>
      refused(
        input._tag === "Company"
          ? "the company is no id (1 to 255 printable characters without quotes)"
          : "an agent has a name, and runs whose ids are 1 to 255 printable characters without quotes"
      )
  })
}

const refused = (why: string): Effect.Effect<never, Unauthenticated> =>
  Effect.andThen(
    Effect.logWarning(`CurrentAgent: ${why}, so the request was refused`),
    Effect.fail(new Unauthenticated())
  )
