// The Stop API behind real sockets, with everything counted that a client could leave behind.
import { NodeHttpServer } from "@effect/platform-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import type { MessageRepo, MessageRepoOptions, Run } from "effect-cancellation"
import { StoreFaults } from "effect-cancellation-testing"
import * as StopServer from "effect-cancellation-http/StopServer"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { makeCount } from "./count.ts"
import { page, Services } from "./stops.ts"

type Options = Partial<StopServer.StopServerOptions> & {
  readonly repo?: MessageRepoOptions
  /** What the server is given beside its services, and lives longer than it. */
  readonly beside?: Layer.Layer<never, never, MessageRepo>
  /** Of the application's own. */
  readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter>
}

/** A server on a port of its own, closed with the scope. */
export const openServer = Effect.fnUntraced(function* (given: Options = {}) {
  const { beside = Layer.empty, repo, routes = Layer.empty, ...options } = given
  const services = yield* Layer.build(Layer.provideMerge(beside, Services(repo)))
  const scope = yield* Scope.fork(yield* Effect.scope)
  const faults = Context.get(services, StoreFaults)
  const fibers = makeCount()
  const connections = makeCount()
  const requests = makeCount()
  const closed = makeCount()
  const server = createServer()
  // Counted at the socket, so that one which Node has forgotten is counted too.
  server.on("connection", (socket) => {
    connections.add(1)
    socket.once("close", () => connections.add(-1))
  })
  server.on("request", (_, response) => {
    requests.add(1)
    response.once("close", () => closed.add(1))
  })
  const Stops = StopServer.layer({ allowedOrigins: [page], tick: "10 millis", ...options })
  yield* HttpRouter.serve(Layer.mergeAll(Stops, routes), {
    disableListenLog: true,
    disableLogger: true,
    routerConfig: { maxParamLength: StopServer.maxParamLength }
  }).pipe(
    Layer.provide(Layer.succeedContext(services)),
    Layer.provide(
      NodeHttpServer.layer(() => server, {
        port: 0,
        host: "127.0.0.1",
        gracefulShutdownTimeout: "1 millis"
      })
    ),
    Layer.provide(Logger.layer([])),
    Layer.buildWithScope(scope),
    Effect.provideService(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => fibers.add(1),
      recordFiberEnd: () => fibers.add(-1)
    })
  )
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.closeAllConnections()
    })
  )
  const before = yield* fibers.now
  return {
    server,
    services,
    /** Ends the server, and nothing of what it was given. */
    close: Scope.close(scope, Exit.void),
    port: (server.address() as AddressInfo).port,
    faults,
    connections,
    /** Those whose heads have come. */
    requests,
    /** Those that were answered, or whose client the server knows to be gone. */
    closed,
    /** Fibers of requests and of what they began. */
    fibers,
    /** Waits until nothing is left of any request: neither a connection nor a fiber. */
    nothingLeft: Effect.gen(function* () {
      yield* connections.atMost(0)
      yield* fibers.atMost(before)
      const known = yield* Effect.callback<number>((resume) => {
        server.getConnections((_, number) => resume(Effect.succeed(number)))
      })
      if (known > 0) return yield* Effect.die(new Error(`The server knows of ${known} connections`))
    }),
    start: (...runs: ReadonlyArray<Run>) => Effect.orDie(faults.store.startRuns(runs))
  }
})

export type Server = Effect.Success<ReturnType<typeof openServer>>
