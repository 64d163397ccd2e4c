/** A real MCP server, in a process of its own or behind HTTP, that tells a test what it hears. */
import { createServer as createHttpServer } from "node:http"
import { createServer, type AddressInfo } from "node:net"
import path from "node:path"
import { createInterface } from "node:readline"
import { NodeHttpServer, NodeHttpServerRequest, NodeServices } from "@effect/platform-node"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { McpClient, type McpProtocol, McpServer, Tool, Toolkit } from "effect/ai"
import {
  FetchHttpClient,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { ChildProcess } from "effect/process"
import { makeCount } from "../../http/test/support/count.ts"

/** What a server heard: a message as it came over the wire, or what became of a tool that it ran. */
export type Heard =
  | { readonly _tag: "Message"; readonly message: Message }
  | { readonly _tag: "Began"; readonly tool: string }
  | { readonly _tag: "Interrupted"; readonly tool: string }
  /** The connection of a request was closed before it was answered. */
  | { readonly _tag: "Closed"; readonly id: number | undefined }

/** A JSON-RPC message, as far as these tests look at it. */
interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly name?: string; readonly requestId?: number }
}

/** What a server heard so far, in order. */
export class Journal extends Context.Service<
  Journal,
  {
    readonly entries: Array<Heard>
    readonly add: (entry: Heard) => void
    /** Waits for the first that is so. */
    readonly until: (isSo: (entry: Heard) => boolean) => Effect.Effect<Heard>
  }
>()("effect-cancellation-chat/test/Journal") {
  static readonly layer = Layer.effect(
    this,
    Effect.sync(() => {
      const entries: Array<Heard> = []
      const length = makeCount()
      return {
        entries,
        add: (entry: Heard) => {
          entries.push(entry)
          length.add(1)
        },
        until: Effect.fnUntraced(function* (isSo: (entry: Heard) => boolean) {
          for (let index = 0; ; index++) {
            yield* length.atLeast(index + 1)
            const entry = entries[index]
            if (entry !== undefined && isSo(entry)) return entry
          }
        })
      }
    })
  )
}

const Tools = Toolkit.make(
  // Never answers.
  Tool.make("Hang", { success: Schema.String }),
  // Answers once Release is called.
  Tool.make("Wait", { success: Schema.String }),
  // The same, and does not listen to anybody else.
  Tool.make("Resist", { success: Schema.String }),
  Tool.make("Release", { success: Schema.String }),
  Tool.make("Refuse", { success: Schema.String, failure: Schema.String })
)

/** The server's tools, which tell what becomes of them. */
export const registrations = (tell: (entry: Heard) => void) => {
  const told = <A>(tool: string, work: Effect.Effect<A>) =>
    Effect.suspend(() => {
      tell({ _tag: "Began", tool })
      return Effect.onInterrupt(work, () => Effect.sync(() => tell({ _tag: "Interrupted", tool })))
    })
  const released = Deferred.makeUnsafe<void>()
  return McpServer.toolkit(Tools).pipe(
    Layer.provide(
      Tools.toLayer({
        Hang: () => told("Hang", Effect.never),
        Wait: () => told("Wait", Effect.as(Deferred.await(released), "waited")),
        Resist: () =>
          told("Resist", Effect.uninterruptible(Effect.as(Deferred.await(released), ""))),
        Refuse: () => Effect.fail("there is no such file"),
        Release: () => told("Release", Effect.as(Deferred.succeed(released, undefined), "released"))
      })
    )
  )
}

/** Names of client and server. */
export const named = { name: "test", version: "1.0.0" }

type Protocol = McpProtocol.ProtocolAdapter<McpClient.ProtocolVersion>

/** A client, connected by stdio to a server in a process of its own. */
export const layerStdio = (protocol: Protocol) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { add } = yield* Journal
      const server = createServer((socket) => {
        socket.on("error", () => {})
        const lines = createInterface({ input: socket }).on("error", () => {})
        // A child of ours says nothing else.
        lines.on("line", (line) => add(JSON.parse(line) as Heard))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          server.listen(0, "127.0.0.1", () => resume(Effect.void))
        }),
        () =>
          Effect.callback<void>((resume) => {
            server.close(() => resume(Effect.void))
          })
      )
      const { port } = server.address() as AddressInfo
      const child = path.join(import.meta.dirname, "tools-mcp.child.ts")
      const command = ChildProcess.make(process.execPath, [child, String(port)])
      return McpClient.layerStdio({ ...named, protocol, command })
    })
  ).pipe(Layer.provide(NodeServices.layer))

/** A client, connected by HTTP to a server in this process, which never answers such messages. */
export const layerHttp = (protocol: Protocol, unanswered?: string) =>
  Layer.suspend(() => {
    const server = createHttpServer()
    return Layer.unwrap(
      Effect.gen(function* () {
        const { add } = yield* Journal
        const { address } = yield* HttpServer.HttpServer
        const Mcp = McpServer.layerHttp({
          ...named,
          path: "/mcp",
          protocols: [protocol],
          registrations: registrations(add)
        })
        const client = McpClient.layerHttp({
          ...named,
          protocol,
          url: `${HttpServer.formatAddress(address)}/mcp`
        })
        const served = HttpRouter.serve(Mcp, {
          disableLogger: true,
          disableListenLog: true,
          middleware: listenIn(add, unanswered)
        })
        // Else the server's end waits for connections that the client keeps for later.
        const hangUp = Layer.effectDiscard(
          Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
        )
        return Layer.provide(Layer.merge(client, hangUp), served)
      })
    ).pipe(
      Layer.provide([
        FetchHttpClient.layer,
        NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })
      ])
    )
  })

const listenIn =
  (add: (entry: Heard) => void, unanswered: string | undefined) =>
  <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const text = yield* Effect.orDie(request.text)
      const message: Message = text === "" ? {} : JSON.parse(text)
      add({ _tag: "Message", message })
      const response = NodeHttpServerRequest.toServerResponse(request)
      response.on("close", () => {
        if (!response.writableFinished) add({ _tag: "Closed", id: message.id })
      })
      return yield* message.method !== undefined && message.method === unanswered
        ? Effect.callback<HttpServerResponse.HttpServerResponse>((resume) => {
            response.on("close", () => resume(Effect.succeed(HttpServerResponse.empty())))
          })
        : app
    })
