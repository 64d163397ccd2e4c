/**
 * The demo as one layer: page, API, agent, repo and database.
 */
import { createServer } from "node:http"
import path from "node:path"
import { NodeHttpServer } from "@effect/platform-node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HttpRouter, HttpStaticServer } from "effect/http"
import { MessageRepo } from "effect-cancellation"
import { maxParamLength } from "effect-cancellation-http/StopServer"
import { Viewers } from "effect-cancellation-http/Viewers"
import { Answers } from "./Answers.ts"
import * as BrowserClient from "./BrowserClient.ts"
import * as ChatApi from "./ChatApi.ts"
import { ChatEvents } from "./ChatEvents.ts"
import { ChatView } from "./ChatView.ts"
import { Drafts } from "./Drafts.ts"
import * as Guard from "./Guard.ts"
import * as Model from "./Model.ts"
import { Refusal } from "./Refusal.ts"
import { Settings } from "./Settings.ts"
import { leaseTtl } from "./SignsOfLife.ts"
import * as StopRoutes from "./StopRoutes.ts"
import * as Storage from "./Storage.ts"
import * as Tools from "./Tools.ts"

const PageLayer = HttpStaticServer.layer({
  root: path.join(import.meta.dirname, "page"),
  cacheControl: "no-cache"
})

const ListenerLayer = Layer.unwrap(
  Effect.map(Settings, ({ port }) =>
    NodeHttpServer.layer(() => createServer(), {
      host: "127.0.0.1",
      port,
      gracefulShutdownTimeout: "100 millis"
    }).pipe(Layer.catch((error) => Layer.effectContext(refusalOf(error.cause, port))))
  )
)

// Long enough to load a page again.
const ViewersLayer = Layer.unwrap(
  Effect.map(Settings, ({ onDisconnect }) => Viewers.layer({ onDisconnect, grace: "5 seconds" }))
)

const AgentLayer = Layer.mergeAll(Answers.layer, ChatEvents.layer).pipe(
  Layer.provideMerge(ChatView.layer({ startGrace: leaseTtl })),
  Layer.provide([Model.layer, Tools.layer]),
  Layer.provideMerge(Layer.mergeAll(Drafts.layer, ViewersLayer)),
  Layer.provideMerge(MessageRepo.layer({ leaseTtl, finalWriteTimeout: "5 seconds" }))
)

const RouteLayer = Layer.mergeAll(
  ChatApi.layer,
  StopRoutes.layer,
  BrowserClient.layer,
  PageLayer,
  Guard.layer
)

export const layer = HttpRouter.serve(RouteLayer, {
  disableLogger: true,
  disableListenLog: true,
  routerConfig: { maxParamLength }
}).pipe(
  // Listens first: a port that is taken is known before anything else is touched.
  Layer.provideMerge(AgentLayer),
  Layer.provide(Storage.layer),
  Layer.provideMerge(ListenerLayer)
)

const refusalOf = (cause: unknown, port: number): Refusal => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "EADDRINUSE") {
    return new Refusal({
      line: `Port ${port} is taken. Is the demo running already? For another port: PORT=${port + 1} npm start`
    })
  }
  if (code === "EACCES") {
    return new Refusal({ line: `Port ${port} may not be used by this user; set PORT to another.` })
  }
  return new Refusal({ line: `The server cannot listen on port ${port}: ${String(cause)}` })
}
