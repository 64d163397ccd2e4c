// Stop in Express, or whatever else takes requests of Node.
import express from "express"
import type { IncomingMessage, ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import type { ReadableStream as NodeStream } from "node:stream/web"
import { stops } from "./app.ts"

/** A function from Request to Response, for requests of Node. */
export const toNode =
  (handler: (request: Request) => Promise<Response>) =>
  async (incoming: IncomingMessage & { originalUrl?: string }, outgoing: ServerResponse) => {
    const leaving = new AbortController()
    outgoing.on("close", () => leaving.abort())
    let request: Request
    try {
      request = requestOf(incoming, leaving.signal)
    } catch {
      // Node takes more than a Request can be: the method TRACE, the address `//`.
      return void outgoing.writeHead(400, { connection: "close" }).end()
    }
    const response = await handler(request)
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    if (response.body === null) return void outgoing.end()
    // Waits for a client that reads slowly, and cancels the body when one is gone.
    await pipeline(Readable.fromWeb(response.body as NodeStream), outgoing).catch(() => {})
  }

const requestOf = (
  incoming: IncomingMessage & { originalUrl?: string },
  signal: AbortSignal
): Request => {
  const { headers, method = "GET", originalUrl, url = "/" } = incoming
  const init: RequestInit & { duplex: "half" } = {
    method,
    headers: Object.entries(headers).map(([name, value]) => [name, String(value)]),
    body: method === "GET" || method === "HEAD" ? null : (Readable.toWeb(incoming) as BodyInit),
    duplex: "half",
    signal
  }
  return new Request(new URL(originalUrl ?? url, "http://localhost"), init)
}

export const app = express()

// Before `express.json()`, which would read the bodies away.
app.use(
  "/api/chats",
  toNode((request) => stops.handler(request))
)
