// What arrives at the platform's socket: requests, connections, and when they are over.
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** How a request ended: with its answer, by its client, or broken off by the server. */
type Ending = "answered" | "left" | "broken"

/** A request and how it went so far. */
export interface PlatformRequest {
  readonly method: string
  /** As it was sent, without the query. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingHttpHeaders
  /** The JSON, the text if it is none, or undefined. */
  readonly body: unknown
  /** When it arrived, in milliseconds of the machine's clock, whatever the platform's clock says. */
  readonly at: number
  /** Of the answer, once there is one. */
  readonly status: number | undefined
  /** Waits until it is over. */
  readonly over: Effect.Effect<Ending>
}

/** What a test watches. */
export interface Watched {
  /** All of them, in the order of their arrival. */
  readonly requests: ReadonlyArray<PlatformRequest>
  /**
   * Waits for a request, or for its answer, that matches; an earlier one counts. What the request
   * changes has changed by then.
   */
  readonly received: (
    predicate: (request: PlatformRequest) => boolean
  ) => Effect.Effect<PlatformRequest>
  /** How many have been opened. */
  readonly connections: number
  readonly openConnections: number
  /** The most requests that were under way at once. */
  readonly maxConcurrent: number
}

export interface Arrival {
  readonly request: PlatformRequest
  /** Aborts when it is over. */
  readonly signal: AbortSignal
  /** Says that it has done what it was to do; who waits for it hears of it now. */
  readonly taken: () => void
  readonly answer: (
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Buffer
  ) => void
  readonly breakOff: () => void
}

export interface Traffic extends Watched {
  /** Reads a request; undefined if its client left before its end. */
  readonly arrive: (
    incoming: IncomingMessage,
    response: ServerResponse
  ) => Promise<Arrival | undefined>
  readonly clear: () => void
}

interface Waiter {
  readonly predicate: (request: PlatformRequest) => boolean
  readonly resume: (request: PlatformRequest) => void
}

type Mutable<A> = { -readonly [Key in keyof A]: A[Key] }

export const watchTraffic = (server: Server): Traffic => {
  const requests: Array<PlatformRequest> = []
  const waiters = new Set<Waiter>()
  const sockets = new Set<Socket>()
  let connections = 0
  let underWay = 0
  let maxConcurrent = 0

  server.on("connection", (socket) => {
    connections++
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })

  const tell = (request: PlatformRequest) => {
    for (const waiter of waiters) {
      if (!waiter.predicate(request)) continue
      waiters.delete(waiter)
      waiter.resume(request)
    }
  }

  const arrive: Traffic["arrive"] = async (incoming, response) => {
    const at = Date.now()
    const over = Deferred.makeUnsafe<Ending>()
    const left = new AbortController()
    let counted = true
    let broken = false
    const count = () => {
      if (counted) underWay--
      counted = false
    }
    underWay++
    maxConcurrent = Math.max(maxConcurrent, underWay)
    response.on("close", () => {
      count()
      left.abort()
      const ending = response.writableFinished ? "answered" : broken ? "broken" : "left"
      Deferred.doneUnsafe(over, Effect.succeed(ending))
    })

    const text = await textOf(incoming)
    if (text === undefined) return undefined
    const [path = "", ...query] = (incoming.url ?? "").split("?")
    const request: Mutable<PlatformRequest> = {
      method: incoming.method ?? "",
      path,
      query: Object.fromEntries(new URLSearchParams(query.join("?"))),
      headers: incoming.headers,
      body: parsed(text),
      at,
      status: undefined,
      over: Deferred.await(over)
    }
    requests.push(request)
    return {
      request,
      signal: left.signal,
      taken: () => tell(request),
      answer: (status, headers, body) => {
        response.statusCode = status
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
        // Before the answer is sent: its client may ask again before the server hears that it was.
        count()
        request.status = status
        response.end(body)
        tell(request)
      },
      breakOff: () => {
        broken = true
        incoming.socket.resetAndDestroy()
      }
    }
  }

  return {
    requests,
    received: (predicate) =>
      Effect.callback((resume) => {
        const known = requests.find((request) => predicate(request))
        if (known !== undefined) {
          resume(Effect.succeed(known))
          return
        }
        const waiter: Waiter = {
          predicate,
          resume: (request) => resume(Effect.succeed(request))
        }
        waiters.add(waiter)
        return Effect.sync(() => waiters.delete(waiter))
      }),
    get connections() {
      return connections
    },
    get openConnections() {
      return sockets.size
    },
    get maxConcurrent() {
      return maxConcurrent
    },
    arrive,
    clear: () => {
      requests.length = 0
      connections = 0
      maxConcurrent = underWay
    }
  }
}

const textOf = async (incoming: IncomingMessage): Promise<string | undefined> => {
  const pieces: Array<Buffer> = []
  try {
    for await (const piece of incoming) pieces.push(piece as Buffer)
  } catch {
    return undefined
  }
  return Buffer.concat(pieces).toString("utf8")
}

const parsed = (text: string): unknown => {
  if (text === "") return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
