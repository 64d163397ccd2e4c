// A server on a real socket that answers what a test tells it to, and keeps what it was asked.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse
} from "node:http"
import type { AddressInfo, Socket } from "node:net"

interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** In milliseconds, by a clock that only goes forward. */
  readonly at: number
}

/** Answers the request of this number, from 0. */
export type Answer = (response: ServerResponse, asked: Asked, index: number) => unknown

/** Listens until it is disposed of. */
export const listen = async (answer: Answer) => {
  const asked: Array<Asked> = []
  const sockets = new Set<Socket>()
  const looks = new Set<() => void>()
  const changed = () => {
    for (const look of looks) look()
  }
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ""
    for await (const chunk of request) body += String(chunk)
    const one = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body,
      at: performance.now()
    }
    asked.push(one)
    response.on("close", changed)
    changed()
    await answer(response, one, asked.length - 1)
  }
  const server = createServer((request, response) => void take(request, response))
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("close", () => {
      sockets.delete(socket)
      changed()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    asked,
    port,
    /** Waits until it is true; looks whenever somebody asks, leaves or is answered. */
    until: (isSo: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!isSo()) return
          looks.delete(look)
          resolve()
        }
        looks.add(look)
        look()
      }),
    /** How many are connected. */
    connected: () => sockets.size,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** Answers with JSON. */
export const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

/** Refuses with a problem document. */
export const refuse = (
  response: ServerResponse,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {}
) =>
  json(
    response,
    status,
    { type: `urn:problem-type:effect-cancellation:${code}`, status, title: "No.", code },
    { ...headers, "content-type": "application/problem+json" }
  )

/** Begins an answer of server-sent events. */
export const stream = (response: ServerResponse, ...texts: ReadonlyArray<string>) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const text of texts) response.write(text)
  return response
}
