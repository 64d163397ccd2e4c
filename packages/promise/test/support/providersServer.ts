// A server on a real socket that streams an answer as a provider does, counts what it sends, and
// tells when its client left.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** How a provider puts things. */
export interface Format {
  readonly contentType: string
  readonly begin: ReadonlyArray<string>
  readonly word: (text: string) => string
  readonly end: ReadonlyArray<string>
  /** An error's body. */
  readonly error: (message: string) => string
  /** What a strict server would not accept of a request. */
  readonly violations: (body: unknown) => ReadonlyArray<string>
}

/** One request and its answer, as they stand. */
export interface Exchange {
  readonly index: number
  readonly body: unknown
  /** How many chunks have been sent. */
  readonly sent: () => number
  /** Resolves when it is over: true if its client closed the connection. */
  readonly over: Promise<boolean>
  /** Aborts when it is over. */
  readonly left: AbortSignal
}

/** What is sent, chunk by chunk; `break` breaks the connection. */
export type Script = (
  exchange: Exchange
) => AsyncIterable<string> | Iterable<string> | { readonly status: number; readonly json: string }

export const broken = "break"

export interface ProviderServer extends AsyncDisposable {
  readonly url: string
  readonly exchanges: ReadonlyArray<Exchange>
  /** Resolves with the first request. */
  readonly arrived: Promise<void>
  readonly violations: () => ReadonlyArray<string>
}

export const serveProvider = async (format: Format, script: Script): Promise<ProviderServer> => {
  const exchanges: Array<Exchange> = []
  const wrong: Array<string> = []
  let tellArrived = () => {}
  const arrived = new Promise<void>((resolve) => {
    tellArrived = resolve
  })

  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    let text = ""
    for await (const piece of request) text += String(piece)
    const body = parsed(text)
    wrong.push(...format.violations(body))
    let sent = 0
    let byUs = false
    const left = new AbortController()
    const over = new Promise<boolean>((resolve) => {
      response.on("close", () => {
        left.abort()
        resolve(!response.writableFinished && !byUs)
      })
    })
    const index = exchanges.length
    const exchange = { index, body, sent: () => sent, over, left: left.signal }
    exchanges.push(exchange)
    tellArrived()
    const answer = script(exchange)
    if ("status" in answer) {
      response.writeHead(answer.status, { "content-type": "application/json" })
      response.end(answer.json)
      return
    }
    response.writeHead(200, { "content-type": format.contentType })
    response.flushHeaders()
    response.socket?.setNoDelay(true)
    try {
      for await (const chunk of answer) {
        if (left.signal.aborted) return
        if (chunk === broken) {
          byUs = true
          response.destroy()
          return
        }
        sent++
        response.write(chunk)
      }
    } catch (error) {
      if (!left.signal.aborted) throw error
    }
    response.end()
  }

  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => {
      wrong.push(String(error))
      response.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    arrived,
    violations: () => wrong,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
