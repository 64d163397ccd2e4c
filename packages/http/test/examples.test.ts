// The examples of web servers, each on a real socket.
import { afterAll, assert, describe, it, vi } from "@effect/vitest"
import {
  stopEvents,
  stopMessage,
  type StopOptions,
  stopReceipt,
  type StopReceipt
} from "effect-cancellation-http/browser"
import { once } from "node:events"
import { createServer, type RequestListener } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { close, startAgent, stops } from "../examples/app.ts"
import { app as express, toNode } from "../examples/express.ts"
import { app as hono } from "../examples/hono.ts"
import * as nextRoute from "../examples/next-route.ts"

afterAll(close)

const next = (request: Request) =>
  request.method === "GET" ? nextRoute.GET(request) : nextRoute.POST(request)

const serve = (handler: (request: Request) => Promise<Response>): RequestListener => {
  const listener = toNode(handler)
  return (request, response) => void listener(request, response)
}

const examples: Readonly<Record<string, RequestListener>> = {
  hono: serve(async (request) => hono.fetch(request)),
  express,
  "next-route": serve(next)
}

const listen = async (listener: RequestListener) => {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** Lets Ada's agent write, and waits until the API knows of it. */
const begin = async (baseUrl: string) => {
  const ids = { chatId: crypto.randomUUID(), messageId: "message/1" }
  startAgent({ userId: "ada", ...ids })
  const options: StopOptions = { ...ids, baseUrl, headers: { cookie: "session=ada-1815" } }
  await vi.waitUntil(async () => (await stopReceipt(options)) !== undefined, { timeout: 5000 })
  return options
}

const pathOf = ({ baseUrl, chatId, messageId }: StopOptions) =>
  `${baseUrl}/chats/${chatId}/messages/${encodeURIComponent(messageId)}/stop`

for (const [name, listener] of Object.entries(examples)) {
  describe(`the example ${name}`, () => {
    it("stops a message, says so, and follows it to its end", async () => {
      await using server = await listen(listener)
      const options = await begin(server.baseUrl)
      assert.strictEqual((await stopReceipt(options))?.phase, "none")
      const events = stopEvents(options)
      assert.strictEqual((await events.next()).value?.phase, "none")
      const response = await fetch(pathOf(options), {
        method: "POST",
        headers: { ...options.headers, "content-type": "application/json" },
        body: JSON.stringify({ note: "enough, é😀" })
      })
      assert.strictEqual(response.status, 202)
      assert.strictEqual((await response.json()).requested.note, "enough, é😀")
      let last: StopReceipt | undefined
      for await (const receipt of events) last = receipt
      const receipt = await stopReceipt(options)
      assert.deepStrictEqual(receipt, last)
      if (receipt?.phase !== "ended") return assert.fail(`at its end it is ${receipt?.phase}`)
      assert.strictEqual(receipt.ended.outcome, "stopped")
      const repeated = await stopMessage({ ...options, wait: "ended" })
      assert.deepStrictEqual(repeated, { ...receipt, repeated: true })
    })

    it("lets nobody in who may not", async () => {
      await using server = await listen(listener)
      const options = await begin(server.baseUrl)
      const asking = (headers: Readonly<Record<string, string>>) =>
        fetch(pathOf(options), {
          method: "POST",
          headers: { "content-type": "application/json", ...options.headers, ...headers },
          body: "{}"
        })
      for (const [headers, status, code] of [
        [{ origin: "https://evil.example" }, 403, "cross_site"],
        [{ "sec-fetch-site": "cross-site" }, 403, "cross_site"],
        [{ cookie: "session=eve" }, 401, "unauthenticated"],
        [{ "content-type": "text/plain" }, 415, "unsupported_media_type"]
      ] as const) {
        const response = await asking(headers)
        assert.deepStrictEqual([response.status, (await response.json()).code], [status, code])
        assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/)
      }
      // Bob's own message of that name does not run.
      const bobs = await asking({ cookie: "session=bob-1845", origin: "http://localhost:3000" })
      assert.deepStrictEqual([bobs.status, (await bobs.json()).phase], [202, "pending"])
      assert.strictEqual((await stopReceipt(options))?.phase, "none")
    })

    it("closes the stream of a client that vanishes", async () => {
      await using server = await listen(listener)
      const options = await begin(server.baseUrl)
      const { handler } = stops
      let isCancelled = false
      const closed = new Promise<void>((resolve) => {
        vi.spyOn(stops, "handler").mockImplementationOnce(async (request) => {
          const { body, headers, status } = await handler(request)
          const reader = body?.getReader()
          return new Response(
            new ReadableStream({
              pull: async (controller) => {
                const read = await reader?.read()
                if (read?.value) controller.enqueue(read.value)
              },
              cancel: async () => {
                isCancelled = true
                await reader?.cancel()
                resolve()
              }
            }),
            { headers, status }
          )
        })
      })
      const events = stopEvents(options)
      await events.next()
      assert.isFalse(isCancelled)
      events.close()
      await closed
    })
  })
}

describe("requests of Node as Requests", () => {
  it("wait for a client that reads slowly, and end when it leaves", async () => {
    let pulled = 0
    const chunk = new Uint8Array(65_536)
    let cancelled: () => void = () => {}
    const left = new Promise<void>((resolve) => (cancelled = resolve))
    const body = () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => {
          pulled += 1
          controller.enqueue(chunk)
        },
        cancel: () => cancelled()
      })
    const listener = serve(async () => new Response(body()))
    let isFull = () => false
    await using server = await listen((request, response) => {
      isFull = () => response.writableNeedDrain
      listener(request, response)
    })
    const leaving = new AbortController()
    // Its body is not read.
    const response = await fetch(server.baseUrl, { signal: leaving.signal })
    assert.strictEqual(response.status, 200)
    // Full, and still so after what was on its way has come.
    let seen = 0
    await vi.waitUntil(
      () => {
        const isSettled = isFull() && pulled === seen
        seen = pulled
        return isSettled
      },
      { timeout: 10_000, interval: 100 }
    )
    assert.isBelow(pulled * chunk.length, 64 * 1024 * 1024)
    leaving.abort()
    await left
  })

  it("are ended if whoever asks leaves before the answer", async () => {
    let begun: (signal: AbortSignal) => void = () => {}
    const signal = new Promise<AbortSignal>((resolve) => (begun = resolve))
    await using server = await listen(
      serve((request) => {
        begun(request.signal)
        return new Promise(() => {})
      })
    )
    const leaving = new AbortController()
    const asked = fetch(server.baseUrl, { signal: leaving.signal }).catch(() => {})
    const { aborted } = await signal
    assert.isFalse(aborted)
    leaving.abort()
    await asked
    await vi.waitUntil(async () => (await signal).aborted, { timeout: 5000 })
  })

  const head = "host: localhost\r\ncontent-type: application/json\r\n"
  for (const [what, words, status] of [
    ["a method that a Request cannot have", `TRACE /api/chats/a/stop HTTP/1.1\r\n${head}\r\n`, 400],
    ["an address that is none", `GET // HTTP/1.1\r\n${head}\r\n`, 400],
    ["an address with an odd host", `GET http://[ HTTP/1.1\r\n${head}\r\n`, 400],
    [
      "a body that breaks off",
      `POST /api/chats/a/stop HTTP/1.1\r\n${head}content-length: 100\r\n\r\n{`,
      undefined
    ]
  ] as const) {
    it(`answer ${what}, and go on`, async () => {
      const listener = toNode((request) => stops.handler(request))
      const done: Array<PromiseSettledResult<void>> = []
      await using server = await listen((request, response) => {
        void Promise.allSettled([listener(request, response)]).then((all) => done.push(...all))
      })
      const socket = connect(Number(new URL(server.baseUrl).port), "127.0.0.1")
      let answer = ""
      socket.on("data", (bytes) => (answer += bytes))
      socket.write(words)
      if (status === undefined) {
        socket.end()
        await once(socket, "close")
      } else {
        await vi.waitUntil(() => answer.startsWith(`HTTP/1.1 ${status} `), { timeout: 5000 })
        socket.destroy()
      }
      await vi.waitUntil(() => done.length > 0, { timeout: 5000 })
      assert.deepStrictEqual(
        done.map((one) => one.status),
        ["fulfilled"]
      )
      const next = await fetch(`${server.baseUrl}/chats/a/messages/b/stop`)
      assert.strictEqual(next.status, 401)
    })
  }
})
