/** A network between a client and a server that freezes and breaks when a test says so. */
import { createServer, type Server, Socket } from "node:net"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { freePort } from "./freePort.ts"

interface TcpProxy {
  /** The server's URL by way of this proxy. */
  readonly url: Redacted.Redacted
  readonly port: number
  /**
   * Forwards nothing any more, in both directions, and closes nothing; neither side learns of it.
   * New connections are accepted, and reach nobody.
   */
  readonly freeze: Effect.Effect<void>
  /** Forwards again, first of all what was held back. */
  readonly thaw: Effect.Effect<void>
  /** Closes all connections, and refuses new ones. */
  readonly cut: Effect.Effect<void>
  /** Takes new connections again. */
  readonly mend: Effect.Effect<void>
  /** How many clients are connected. While frozen, those that left are still counted. */
  readonly connections: Effect.Effect<number>
}

/** A proxy in front of the server that a URL names; it goes away with the scope. */
export const make = Effect.fn("TcpProxy.make")(function* (target: Redacted.Redacted) {
  const url = new URL(Redacted.value(target))
  const server = { host: url.hostname, port: Number(url.port || "5432") }
  const port = yield* freePort
  const links = new Set<Link>()
  let isFrozen = false

  const sweep = () => {
    if (isFrozen) return
    for (const link of links) {
      link.spreadError()
      if (link.isClosed()) links.delete(link)
    }
  }

  const accept = (client: Socket) => {
    const link = new Link(client, server, sweep)
    links.add(link)
    if (!isFrozen) link.join()
  }

  let listener = yield* listen(port, accept)
  const cut = Effect.suspend(() => {
    for (const link of links) link.destroy()
    links.clear()
    return close(listener)
  })
  yield* Effect.addFinalizer(() => cut)

  url.hostname = "127.0.0.1"
  url.port = String(port)
  return {
    url: Redacted.make(url.href),
    port,
    freeze: Effect.sync(() => {
      if (isFrozen) return
      isFrozen = true
      for (const link of links) link.part()
    }),
    thaw: Effect.sync(() => {
      if (!isFrozen) return
      isFrozen = false
      for (const link of links) link.join()
      sweep()
    }),
    cut,
    mend: Effect.gen(function* () {
      if (!listener.listening) listener = yield* listen(port, accept)
    }),
    connections: Effect.sync(() => links.size)
  } satisfies TcpProxy
}, Effect.uninterruptible)

/** The connection of a client, and the one to the server on its behalf. */
class Link {
  readonly #client: Socket
  readonly #server = new Socket({ allowHalfOpen: true })
  readonly #address: { readonly host: string; readonly port: number }

  constructor(
    client: Socket,
    address: { readonly host: string; readonly port: number },
    onClose: () => void
  ) {
    this.#client = client
    this.#address = address
    for (const socket of [this.#client, this.#server]) {
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.on("close", onClose)
    }
  }

  join() {
    // a client that came while all was frozen
    if (this.#server.pending && !this.#server.connecting) this.#server.connect(this.#address)
    this.#client.pipe(this.#server)
    this.#server.pipe(this.#client)
  }

  part() {
    this.#client.unpipe(this.#server).pause()
    this.#server.unpipe(this.#client).pause()
  }

  /** An orderly end is passed on by the pipes, a broken connection is not. */
  spreadError() {
    if (this.#client.errored !== null || this.#server.errored !== null) this.destroy()
  }

  isClosed() {
    return this.#client.closed && this.#server.closed
  }

  destroy() {
    this.#client.destroy()
    this.#server.destroy()
  }
}

const listen = (port: number, accept: (client: Socket) => void) =>
  Effect.callback<Server, Error>((resume) => {
    // paused: not even the end of a client is to be seen while all is frozen
    const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept)
    listener.once("error", (error) => resume(Effect.fail(error)))
    listener.listen(port, "127.0.0.1", () => resume(Effect.succeed(listener)))
  }).pipe(Effect.orDie)

const close = (listener: Server) =>
  Effect.callback<void>((resume) => {
    listener.close(() => resume(Effect.void))
  })
