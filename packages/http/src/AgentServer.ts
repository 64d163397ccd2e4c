/**
 * The server of the Agent API: a layer for `HttpRouter`, or handlers for an API of your own.
 *
 * It is mounted by nothing else. Put it where agents reach it and pages do not.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type MessageStore, Setting } from "effect-cancellation"
import { HttpApi, HttpApiBuilder, type HttpApiGroup, OpenApi } from "effect/http-api"
import { AgentApi } from "./AgentApi.ts"
import type { CurrentAgent } from "./CurrentAgent.ts"
import type { RequestBody, RequestGuard } from "./RequestGuard.ts"
import { type AgentSettings, makeAgentHandlers } from "./internal/agentHandlers.ts"
import { timeAtMost } from "./internal/settings.ts"
import { layerGuard } from "./internal/guard.ts"
import { layerRequestBody } from "./internal/requestBody.ts"
import type { Further, HasGroup } from "./internal/ownGroup.ts"

/**
 * Settings of the server. One that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentServerOptions {
  /** The most bytes of a body that are read. Default 4 MiB; clients then send less at once. */
  readonly maxBody?: number | undefined
  /** How long a body may take to come. Default 10 seconds. */
  readonly bodyTimeout?: Duration.Input | undefined
  /** The shortest lease an agent may claim. Default 1 second. */
  readonly minLeaseTtl?: Duration.Input | undefined
  /** The longest lease an agent may claim. Default 10 minutes. */
  readonly maxLeaseTtl?: Duration.Input | undefined
  /**
   * For how long this server must have seen leases renewed, without a gap of this length and without
   * a failure, before an agent may have runs marked as lost. Default 30 seconds, as the `leaseTtl` of
   * a `MessageRepo`; if you set that, set this too.
   */
  readonly sweepAfter?: Duration.Input | undefined
  /** After this a call to the store is answered with 503. Default 4 seconds: agents wait for 5. */
  readonly storeTimeout?: Duration.Input | undefined
  /** How often a stream of hints says that it is alive. Default 15 seconds. */
  readonly keepAlive?: Duration.Input | undefined
  /**
   * When a stream of hints ends, so that the agent comes again and shows its credentials. Default 10
   * minutes.
   */
  readonly maxHints?: Duration.Input | undefined
  /**
   * How many hints wait for an agent that does not read. With more they are dropped, and it is told to
   * look at everything. Default 1,000.
   */
  readonly maxUnread?: number | undefined
}

/**
 * What the application must provide. Hints are those of the `StopSignal` in the context.
 *
 * @category models
 * @since 0.1.0
 */
export type Required = CurrentAgent | MessageStore

/**
 * Handlers of the group `AgentApi` in an API of your own. Middleware that you add to the group is
 * required like what every application must provide.
 *
 * ```ts
 * import { HttpApi } from "effect/http-api"
 * import { AgentApi } from "effect-cancellation-http/AgentApi"
 * import * as AgentServer from "effect-cancellation-http/AgentServer"
 *
 * class Internal extends HttpApi.make("my-app-internal").add(AgentApi.prefix("/internal")) {}
 *
 * const Agents = AgentServer.group(Internal)
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const group = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups> & HasGroup<Groups, "agent", "Add AgentApi to this API first.">,
  options: AgentServerOptions = {}
): Layer.Layer<
  HttpApiGroup.Service<Id, "agent">,
  never,
  Required | Further<Groups, "agent", CurrentAgent | RequestBody | RequestGuard>
> =>
  Layer.unwrap(
    Effect.map(settingsOf(options), (settings) =>
      HttpApiBuilder.group(agentsOf(api), "agent", (handlers) =>
        Effect.map(makeAgentHandlers(settings), (handle) =>
          handlers
            .handle("look", handle.look)
            .handle("start", handle.start)
            .handle("advance", handle.advance)
            .handle("lease", handle.lease)
            .handle("sweep", handle.sweep)
            .handle("hints", handle.hints)
        )
      ).pipe(
        Layer.provide([
          layerGuard({
            allowedOrigins: undefined,
            maxBody: settings.maxBody,
            challenge: "Bearer"
          }),
          layerRequestBody(settings.bodyTimeout)
        ])
      )
    )
  )

/**
 * The routes of the Agent API for an `HttpRouter`, below `prefix`.
 *
 * ```ts
 * import { createServer } from "node:http"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { MessageStore } from "effect-cancellation"
 * import * as AgentServer from "effect-cancellation-http/AgentServer"
 * import { CurrentAgent } from "effect-cancellation-http/CurrentAgent"
 * import { HttpRouter } from "effect/http"
 *
 * declare const Agents: Layer.Layer<CurrentAgent>
 * declare const MyStoreAndSignal: Layer.Layer<MessageStore>
 *
 * const Server = HttpRouter.serve(
 *   AgentServer.layer({ prefix: "/internal" }).pipe(Layer.provide([Agents, MyStoreAndSignal]))
 * ).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 3001 })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: AgentServerOptions & { readonly prefix?: `/${string}` | undefined } = {}
) => {
  const api = apiAt(options.prefix ?? "/")
  return HttpApiBuilder.layer(api).pipe(Layer.provide(group(api, options)))
}

/**
 * The Agent API below a prefix, `/` for none: for its OpenAPI document.
 *
 * @category api
 * @since 0.1.0
 */
export const apiAt = (prefix: `/${string}`) =>
  HttpApi.make("effect-cancellation-agent")
    .add(prefix === "/" ? AgentApi : AgentApi.prefix(prefix))
    .annotateMerge(OpenApi.annotations({ title: "Agent API", version: "1" }))

const settingsOf = Effect.fnUntraced(function* (
  options: AgentServerOptions
): Effect.fn.Return<AgentSettings> {
  const maxLeaseTtl = yield* Setting.positive("maxLeaseTtl", options.maxLeaseTtl ?? "10 minutes")
  return {
    maxBody: yield* Setting.count("maxBody", options.maxBody ?? 4 * 1024 * 1024),
    bodyTimeout: yield* Setting.positive("bodyTimeout", options.bodyTimeout ?? "10 seconds"),
    minLeaseTtl: yield* timeAtMost("minLeaseTtl", options.minLeaseTtl ?? "1 second", maxLeaseTtl),
    maxLeaseTtl,
    sweepAfter: yield* Setting.notNegative("sweepAfter", options.sweepAfter ?? "30 seconds"),
    storeTimeout: yield* Setting.positive("storeTimeout", options.storeTimeout ?? "4 seconds"),
    keepAlive: yield* Setting.positive("keepAlive", options.keepAlive ?? "15 seconds"),
    maxHints: yield* Setting.positive("maxHints", options.maxHints ?? "10 minutes"),
    capacity: yield* Setting.count("maxUnread", options.maxUnread ?? 1000)
  }
})

// What a prefix or a further middleware changes of the type is nothing that the handlers look at.
const agentsOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
) => api as unknown as HttpApi.HttpApi<Id, typeof AgentApi>
