/**
 * The Stop API of the demo: who asks, what they may do, and the page that describes it.
 *
 * All people of the demo share all chats: everybody sees every answer, and how far its stop has come,
 * and only whoever asked for it can stop it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CurrentActor } from "effect-cancellation-http/CurrentActor"
import { StopPolicy } from "effect-cancellation-http/StopPolicy"
import * as StopServer from "effect-cancellation-http/StopServer"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApiScalar } from "effect/http-api"
import { personOf } from "./Person.ts"

const prefix = "/api"

const ActorLayer = CurrentActor.layer((request) =>
  Effect.succeed({ userId: personOf(request).userId })
)

const PolicyLayer = StopPolicy.layerOwn({ isShared: () => Effect.succeed(true) })

// The port is known when somebody listens on it: 0 takes any.
const ApiLayer = Layer.unwrap(
  Effect.map(HttpServer.HttpServer, ({ address }) =>
    StopServer.layer({
      allowedOrigins: originsOf(address),
      prefix,
      openapiPath: "/openapi.json"
    })
  )
).pipe(Layer.provide([ActorLayer, PolicyLayer]))

const originsOf = (address: HttpServer.HttpServer["Service"]["address"]) =>
  "port" in address
    ? ["127.0.0.1", "localhost"].map((host) => new URL(`http://${host}:${address.port}`).origin)
    : []

// Without what would lead to Scalar's own services; it reads more settings than its type names.
const documentLook = {
  withDefaultFonts: false,
  favicon: "/favicon.svg",
  showDeveloperTools: "never",
  hideClientButton: true,
  telemetry: false,
  // It cuts the addresses off.
  customCss: ".endpoint-path { white-space: normal; overflow-wrap: anywhere }"
}

// What it needs is all in it, as scripts and styles of its own; it may ask nobody but this server.
const documentPolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const DocumentLayer = HttpApiScalar.layer(StopServer.apiAt(prefix), {
  path: "/docs",
  scalar: documentLook
}).pipe(
  Layer.provide(
    HttpRouter.middleware((handler) =>
      Effect.map(handler, HttpServerResponse.setHeader("content-security-policy", documentPolicy))
    ).layer
  )
)

export const layer = Layer.mergeAll(ApiLayer, DocumentLayer)
