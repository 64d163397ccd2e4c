/** A server that answers what a test tells it to, and sees when a client closes a connection. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"

export interface Exchange {
  readonly path: string
  readonly response: ServerResponse
  /** Its connection is gone; it never is while the client waits for more. */
  readonly closed: Effect.Effect<void>
  readonly isClosed: () => boolean
}

/** Goes away with the scope. `exchanges` has each request, in the order of their arrival. */
export const makeServer = Effect.gen(function* () {
  const exchanges = yield* Queue.unbounded<Exchange>()
  const closings = new WeakMap<Socket, Deferred.Deferred<void>>()
  const server = createServer((request: IncomingMessage, response) => {
    const gone = closings.get(request.socket) ?? Deferred.makeUnsafe<void>()
    Queue.offerUnsafe(exchanges, {
      path: request.url ?? "",
      response,
      closed: Deferred.await(gone),
      isClosed: () => Deferred.isDoneUnsafe(gone)
    })
  })
  server.on("connection", (socket) => {
    const gone = Deferred.makeUnsafe<void>()
    closings.set(socket, gone)
    // How it is closed does not matter.
    socket.on("error", () => {})
    socket.on("close", () => Deferred.doneUnsafe(gone, Effect.void))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  return {
    // Node's types do not know that a server that listens on a port has a port.
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges
  }
})
