// What the examples of the AI SDK need around them: their routes on a real socket, the page's `Chat`,
// and a model on another socket.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Chat } from "@ai-sdk/react"
import { DefaultChatTransport, type UIMessage, type UIMessageChunk } from "ai"

type Handler = (request: Request) => Promise<Response> | Response

/** The model that the examples name by a string comes from this server. */
export const modelsFrom = (url: string): void => {
  globalThis.AI_SDK_DEFAULT_PROVIDER = createOpenAICompatible({
    name: "local",
    baseURL: `${url}/v1`
  })
}

export interface RouteServer extends AsyncDisposable {
  readonly url: string
  /** What handlers threw, and bodies broke with. */
  readonly errors: ReadonlyArray<unknown>
}

/** Serves route handlers by method. */
export const serveRoutes = async (
  routes: Readonly<Record<string, Handler>>
): Promise<RouteServer> => {
  const errors: Array<unknown> = []
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const left = new AbortController()
    outgoing.on("close", () => left.abort())
    const method = incoming.method ?? "GET"
    let body = ""
    for await (const piece of incoming) body += String(piece)
    const url = new URL(incoming.url ?? "/", "http://localhost")
    const request = new Request(url, {
      method,
      signal: left.signal,
      ...(method === "GET" ? {} : { body })
    })
    const response = (await routes[method]?.(request)) ?? new Response(null, { status: 405 })
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    outgoing.flushHeaders()
    if (response.body === null) return void outgoing.end()
    const reader = response.body.getReader()
    outgoing.on("close", () => void reader.cancel().catch(() => {}))
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      outgoing.write(next.value)
    }
    outgoing.end()
  }
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch((error: unknown) => {
      errors.push(error)
      outgoing.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/api/chat`,
    errors,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** The page: a chat, what its connections brought, and its button. */
export const openPage = (url: string, id: string, messages: Array<UIMessage> = []) => {
  const parts: Array<UIMessageChunk["type"]> = []
  class Transport extends DefaultChatTransport<UIMessage> {
    protected override processResponseStream(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
      return super.processResponseStream(stream).pipeThrough(
        new TransformStream<UIMessageChunk, UIMessageChunk>({
          transform: (chunk, controller) => {
            parts.push(chunk.type)
            controller.enqueue(chunk)
          }
        })
      )
    }
  }
  const errors: Array<unknown> = []
  const chat = new Chat({
    id,
    messages,
    transport: new Transport({ api: url }),
    onError: (error) => errors.push(error)
  })
  const text = () => {
    const last = chat.messages.at(-1)
    return last?.role === "assistant" ? textOf(last) : ""
  }
  return {
    chat,
    parts,
    errors,
    text,
    /** Resolves when the answer shows this. */
    shows: (wanted: string) =>
      new Promise<void>((resolve) => {
        let over = false
        const look = () => {
          if (over || !text().includes(wanted)) return
          over = true
          resolve()
        }
        chat["~registerMessagesCallback"](look)
        look()
      }),
    pressStop: async (): Promise<unknown> =>
      (await fetch(url, { method: "DELETE", body: JSON.stringify({ id }) })).json()
  }
}

export const textOf = (message: UIMessage): string =>
  message.parts.map((part) => (part.type === "text" ? part.text : "")).join("")
