/** A server of the Agent API with real sockets, its store and its signal, and agents that ask it. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeHttpServer } from "@effect/platform-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { FetchHttpClient, HttpRouter } from "effect/http"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import {
  ChatId,
  CompanyId,
  MessageId,
  MessageRef,
  MessageStore,
  type Run as RunType,
  Run,
  RunId,
  StopSignal,
  type StopSignalService,
  StopTarget,
  StopIntent
} from "effect-cancellation"
import * as AgentServer from "../../src/AgentServer.ts"
import { bearerOf } from "../../src/Bearer.ts"
import { type AgentInput, CurrentAgent } from "../../src/CurrentAgent.ts"
import * as HttpMessageStore from "../../src/HttpMessageStore.ts"
import { Unauthenticated, Unavailable } from "../../src/Problem.ts"

export const runIn = (companyId: string | undefined, name: string = crypto.randomUUID()): RunType =>
  Run.make({
    ref: MessageRef.make({
      ...(companyId === undefined ? {} : { companyId: CompanyId.make(companyId) }),
      chatId: ChatId.make(`chat-${name}`),
      messageId: MessageId.make(`message-${name}`)
    }),
    runId: RunId.make(`run-${name}`)
  })

/** Which tokens there are, and what each is for. */
export const makeTokens = () => {
  const agents = new Map<string, AgentInput>([
    ["acme", { _tag: "Company", companyId: "acme" }],
    ["other", { _tag: "Company", companyId: "other" }],
    ["default", { _tag: "Company" }]
  ])
  const seen: Array<string> = []
  return {
    agents,
    seen,
    layer: CurrentAgent.layer((request) => {
      const token = bearerOf(request)
      const name = token === undefined ? "" : Redacted.value(token)
      seen.push(name)
      if (name === "unknowable") return Effect.fail(new Unavailable({ retryAfter: 7 }))
      const agent = agents.get(name)
      return agent === undefined ? Effect.fail(new Unauthenticated()) : Effect.succeed(agent)
    })
  }
}

export interface AgentServerUnderTest {
  readonly url: string
  readonly http: Server
  readonly tokens: ReturnType<typeof makeTokens>
  readonly store: MessageStore["Service"]
  readonly signal: StopSignalService
  /** Connections that were ever made, and those open now. */
  readonly accepted: () => number
  readonly connected: () => number
  /** Streams of hints that are open. */
  readonly hearing: () => number
  /** Requests so far, as `POST /agent/look`. */
  readonly requests: () => ReadonlyArray<string>
}

/** Its store and signal are in memory unless given. */
export const startServer = Effect.fnUntraced(function* (
  options: AgentServer.AgentServerOptions & {
    readonly backing?: Layer.Layer<MessageStore>
    readonly prefix?: `/${string}`
    readonly port?: number
    readonly graceful?: `${number} ${"millis" | "seconds"}`
  } = {}
) {
  const backing =
    options.backing ?? Layer.mergeAll(MessageStore.layerMemory(), StopSignal.layerMemory)
  const services = yield* Layer.build(Layer.fresh(backing))
  const tokens = makeTokens()
  const server = createServer()
  const requests: Array<string> = []
  let accepted = 0
  let connected = 0
  let hearing = 0
  server.on("request", ({ method, url }, response) => {
    requests.push(`${method} ${url}`)
    if (url?.endsWith("/hints") !== true) return
    hearing++
    response.on("close", () => hearing--)
  })
  server.on("connection", (socket) => {
    accepted++
    connected++
    socket.on("close", () => connected--)
  })
  yield* Layer.build(
    HttpRouter.serve(AgentServer.layer(options), {
      disableLogger: true,
      disableListenLog: true
    }).pipe(
      Layer.provide(tokens.layer),
      Layer.provide(Layer.succeedContext(services)),
      Layer.provide(
        NodeHttpServer.layer(() => server, {
          host: "127.0.0.1",
          port: options.port ?? 0,
          gracefulShutdownTimeout: options.graceful ?? "10 millis"
        })
      )
    )
  )
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    http: server,
    tokens,
    store: Context.get(services, MessageStore),
    signal: Context.get(services, StopSignal),
    accepted: () => accepted,
    connected: () => connected,
    hearing: () => hearing,
    requests: () => requests
  } satisfies AgentServerUnderTest
})

/** The store and the signal of an agent that asks this server. */
export const openAgent = Effect.fnUntraced(function* (
  url: string,
  options?: Partial<HttpMessageStore.HttpMessageStoreOptions>
) {
  const services = yield* Layer.build(Layer.fresh(agentLayer(url, options)))
  return { store: Context.get(services, MessageStore), signal: Context.get(services, StopSignal) }
})

export const agentLayer = (
  url: string,
  options?: Partial<HttpMessageStore.HttpMessageStoreOptions>
) =>
  HttpMessageStore.layer({ baseUrl: url, token: Redacted.make("acme"), ...options }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

export const stopOf = (run: Run) => StopTarget.cases.Run.make({ run })
export const byUser = StopIntent.make({ reason: "user" })

/** A request as anybody could send it. */
export const post = (url: string, token: string | undefined, path: string, body: unknown) =>
  Effect.promise(async () => {
    const response = await fetch(`${url}${path}`, {
      method: path.endsWith("/hints") ? "GET" : "POST",
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        "content-type": "application/json"
      },
      ...(path.endsWith("/hints") ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text.startsWith("{") ? JSON.parse(text) : undefined
    }
  })
