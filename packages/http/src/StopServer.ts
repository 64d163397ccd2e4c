/**
 * The server of the Stop API: a layer for `HttpRouter`, handlers for an API of your own, or a
 * web-standard function from `Request` to `Response`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { MessageRepo, UserId } from "effect-cancellation"
import {
  HttpEffect,
  HttpRouter,
  HttpServer,
  HttpServerError,
  HttpServerRespondable
} from "effect/http"
import { HttpApi, HttpApiBuilder, type HttpApiGroup, OpenApi } from "effect/http-api"
import type { Actor, CurrentActor } from "./CurrentActor.ts"
import { layerGuard } from "./internal/guard.ts"
import type { Further, HasGroup } from "./internal/ownGroup.ts"
import { layerRequestBody } from "./internal/requestBody.ts"
import { makeHandlers } from "./internal/stopHandlers.ts"
import { settingsOf } from "./internal/stopSettings.ts"
import { NotFound } from "./Problem.ts"
import type { RequestBody, RequestGuard } from "./RequestGuard.ts"
import { StopApi } from "./StopApi.ts"
import type { StopPolicy } from "./StopPolicy.ts"

/**
 * Settings of the server. One that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopServerOptions {
  /**
   * The origins of the pages that may call, as the address bar shows them: `https://app.example.com`,
   * `http://localhost:5173`. The page's own origin too, also where a proxy stands between: browsers
   * send it with every stop. Pages of other origins are refused, and those of another site even if
   * they are named here; requests of programs have no origin and are not concerned. Required; empty
   * if no page calls.
   */
  readonly allowedOrigins: ReadonlyArray<string>
  /** How many new stops an actor may ask. Default 60 a minute; repeating a stop is free. */
  readonly rateLimit?: { readonly limit: number; readonly window: Duration.Input } | undefined
  /** The most bytes of a body that are read. Default 16,384. */
  readonly maxBody?: number | undefined
  /** How long a body may take to come. Default 5 seconds. */
  readonly bodyTimeout?: Duration.Input | undefined
  /** How often the store is asked for all who wait while a stop is under way. Default 250 ms. */
  readonly tick?: Duration.Input | undefined
  /** How often while they only look on. Default 2 seconds. */
  readonly idleTick?: Duration.Input | undefined
  /** The longest that `wait` waits. Default and most 25 seconds: many proxies give up after 30. */
  readonly maxWait?: Duration.Input | undefined
  /** How often a stream of events says that it is alive. Default 15 seconds. */
  readonly keepAlive?: Duration.Input | undefined
  /**
   * When a stream of events ends, so that whoever listens comes again and is asked who they are.
   * Default 10 minutes.
   */
  readonly maxEvents?: Duration.Input | undefined
  /**
   * The `userId` in the refs of what an actor starts, for a stop that comes before its run. Default:
   * the actor's own; answer `undefined` if your refs have no user.
   */
  readonly ownerOf?: ((actor: Actor["Service"]) => UserId | undefined) | undefined
}

/**
 * What the application must provide.
 *
 * @category models
 * @since 0.1.0
 */
export type Required = CurrentActor | StopPolicy | MessageRepo

/**
 * How long a part of a path may be, for `routerConfig: { maxParamLength }` of the router that has
 * these routes: an id of 255 characters, percent-encoded. By default a router cuts at 100.
 *
 * @category models
 * @since 0.1.0
 */
export const maxParamLength = 255 * 4 * 3

/**
 * Handlers of the group `StopApi` in an API of your own.
 *
 * New stops are limited by the `RateLimiter` of `effect/persistence` if there is one in the context,
 * so that several processes share a count; else in memory.
 *
 * ```ts
 * import { HttpApi, HttpApiBuilder } from "effect/http-api"
 * import { StopApi } from "effect-cancellation-http/StopApi"
 * import * as StopServer from "effect-cancellation-http/StopServer"
 *
 * class Api extends HttpApi.make("my-app").add(StopApi.prefix("/api")) {}
 *
 * const Stops = StopServer.group(Api, { allowedOrigins: ["https://app.example.com"] })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const group = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups> & HasGroup<Groups, "stop", "Add StopApi to this API first.">,
  options: StopServerOptions
): Layer.Layer<
  HttpApiGroup.Service<Id, "stop">,
  never,
  Required | Further<Groups, "stop", CurrentActor | RequestBody | RequestGuard>
> =>
  Layer.unwrap(
    Effect.map(settingsOf(options), (settings) =>
      HttpApiBuilder.group(stopsOf(api), "stop", (handlers) =>
        Effect.map(makeHandlers(settings), (handle) =>
          handlers
            // A stop is whole: it is stored also if the page that asked it is gone by then.
            .handle("stopChat", handle.stopChat, { uninterruptible: true })
            .handle("stopMessage", handle.stopMessage, { uninterruptible: true })
            .handle("receipt", handle.receipt)
            .handle("events", handle.events)
        )
      ).pipe(Layer.provide([layerGuard(settings), layerRequestBody(settings.bodyTimeout)]))
    )
  )

/**
 * The routes of the Stop API for an `HttpRouter`, below `prefix`.
 *
 * ```ts
 * import { createServer } from "node:http"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { HttpRouter } from "effect/http"
 * import { CurrentActor } from "effect-cancellation-http/CurrentActor"
 * import { StopPolicy } from "effect-cancellation-http/StopPolicy"
 * import * as StopServer from "effect-cancellation-http/StopServer"
 *
 * const Stops = StopServer.layer({
 *   allowedOrigins: ["https://app.example.com"],
 *   prefix: "/api"
 * }).pipe(
 *   Layer.provide([
 *     CurrentActor.layer(() => Effect.succeed({ companyId: "acme", userId: "ada" })),
 *     StopPolicy.layerOwn(),
 *     MessageRepo.layerMemory()
 *   ])
 * )
 *
 * const Server = HttpRouter.serve(Stops, {
 *   routerConfig: { maxParamLength: StopServer.maxParamLength }
 * }).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: StopServerOptions & {
    readonly prefix?: `/${string}` | undefined
    /** Where the OpenAPI document is served. Default: nowhere. */
    readonly openapiPath?: `/${string}` | undefined
  }
) => {
  const { openapiPath, prefix } = options
  const api = apiAt(prefix ?? "/")
  return HttpApiBuilder.layer(api, openapiPath === undefined ? {} : { openapiPath }).pipe(
    Layer.provide(group(api, options))
  )
}

/**
 * The Stop API below a prefix, `/` for none: for its OpenAPI document, and for pages that show it.
 *
 * @category api
 * @since 0.1.0
 */
export const apiAt = (prefix: `/${string}`) =>
  HttpApi.make("effect-cancellation")
    .add(prefix === "/" ? StopApi : StopApi.prefix(prefix))
    .annotateMerge(OpenApi.annotations({ title: "Stop API", version: "1" }))

/**
 * The Stop API as a function from `Request` to `Response`, for Hono, Express, Next.js and every other
 * server. `dispose` ends what it has begun: call it before the process ends.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { CurrentActor } from "effect-cancellation-http/CurrentActor"
 * import { StopPolicy } from "effect-cancellation-http/StopPolicy"
 * import * as StopServer from "effect-cancellation-http/StopServer"
 *
 * const { dispose, handler } = StopServer.toWebHandler(
 *   { allowedOrigins: ["https://app.example.com"], prefix: "/api" },
 *   Layer.mergeAll(
 *     CurrentActor.layer(() => Effect.succeed({ companyId: "acme", userId: "ada" })),
 *     StopPolicy.layerOwn(),
 *     MessageRepo.layerMemory()
 *   )
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const toWebHandler = <E>(
  options: StopServerOptions & { readonly prefix?: `/${string}` | undefined },
  services: Layer.Layer<Required, E>
): {
  readonly handler: (request: Request) => Promise<Response>
  readonly dispose: () => Promise<void>
} =>
  HttpEffect.toWebHandlerLayerWith(
    layer(options).pipe(
      Layer.provideMerge(HttpRouter.layer),
      Layer.provide(Layer.succeed(HttpRouter.RouterConfig, { maxParamLength })),
      Layer.provide(services),
      Layer.provide(HttpServer.layerServices),
      // Each request is rejected with it; but the first may come long after the start.
      Layer.tapCause((cause) => Effect.logError("The Stop API could not be built", cause))
    ),
    {
      toHandler: (context) =>
        Effect.succeed(
          Effect.catchIf(
            Context.get(context, HttpRouter.HttpRouter).asHttpEffect(),
            HttpServerError.isHttpServerError,
            () => nothingThere
          )
        )
    }
  )

const nothingThere = HttpServerRespondable.toResponse(
  new NotFound({ detail: "There is no such address here." })
)

// What a prefix or a further middleware changes of the type is nothing that the handlers look at.
const stopsOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
) => api as unknown as HttpApi.HttpApi<Id, typeof StopApi>
