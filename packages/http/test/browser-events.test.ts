import { assert, beforeEach, describe, it, vi } from "@effect/vitest"
import * as fc from "fast-check"
import {
  stopEvents,
  StopError,
  type StopOptions,
  type StopReceipt
} from "effect-cancellation-http/browser"
import { getEventListeners } from "node:events"
import { event, receipts } from "./support/receipts.ts"
import { json, listen, refuse, stream } from "./support/scripted.ts"

const message = { chatId: "chat-1", messageId: "message-1" }
const seed = Number(process.env["RANDOM_SEED"] ?? Date.now() % 0x7fffffff)
// So that nobody waits for a test of what is tried again.
const soon = "retry: 1\n\n"

const collect = async (options: Omit<StopOptions, "chatId" | "messageId">) => {
  const heard: Array<StopReceipt> = []
  for await (const receipt of stopEvents({ ...message, ...options })) heard.push(receipt)
  return heard
}

const phases = (heard: ReadonlyArray<StopReceipt>) => heard.map(({ phase }) => phase)

const encoded = (text: string) => new TextEncoder().encode(text)

/** A `fetch` that answers with these bytes, in these pieces. */
const inPieces = (pieces: ReadonlyArray<Uint8Array>): typeof fetch => {
  const body = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const piece of pieces) controller.enqueue(piece)
        controller.close()
      }
    })
  return async () => new Response(body(), { headers: { "content-type": "text/event-stream" } })
}

const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const ends = [...places, bytes.length].toSorted((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

// A rejection that nobody handles fails the run of the tests; a loop that ends by itself has none.

describe("what is heard", () => {
  const told: ReadonlyArray<StopReceipt> = [
    receipts.none,
    {
      ...receipts.requested,
      requested: { ...receipts.requested.requested, note: "Halt! é😀\u2028" }
    },
    receipts.observed,
    receipts.ended
  ]
  const [none = "", requested = "", observed = "", ended = ""] = told.map((one) =>
    JSON.stringify(one, undefined, 1)
  )
  const lines = (text: string) =>
    text.split("\n").map((line, index) => `data:${index % 2 ? " " : ""}${line}`)
  // With everything that a server or a proxy may send between.
  const text = [
    ": welcome",
    "retry: 1",
    "",
    "data",
    "event: ping",
    "",
    ...lines(none),
    "id: 1",
    "",
    "",
    "event: message",
    ": alive é😀",
    ...lines(requested),
    "unknown: field",
    "retry: soon",
    "",
    "event: effect/http-api/stream/failure",
    'data: {"phase":"none"}',
    "",
    ...lines(observed),
    "",
    ...lines(ended),
    "",
    ""
  ]
  const newlines = ["\n", "\r\n", "\r"]

  for (const newline of newlines) {
    it(`is the same wherever it is cut, with lines that end in ${JSON.stringify(newline)}`, async () => {
      const bytes = new TextEncoder().encode(`\ufeff${text.join(newline)}`)
      for (let place = 0; place <= bytes.length; place += 1) {
        const heard = await collect({ fetch: inPieces(cut(bytes, [place])) })
        assert.deepStrictEqual(heard, told, `cut at ${place}`)
      }
    })
  }

  it(`is the same however it is cut (seed ${seed})`, async () => {
    const property = fc.asyncProperty(
      fc.array(fc.constantFrom(...newlines), { minLength: text.length, maxLength: text.length }),
      fc.array(fc.nat(2000), { maxLength: 50 }),
      fc.boolean(),
      async (ends, places, withMark) => {
        // LF after CR ends no line of its own.
        const after = (index: number) =>
          text[index] === "" && ends[index - 1] === "\r" && ends[index] === "\n"
            ? "\r\n"
            : ends[index]
        const all = text.map((line, index) => `${line}${after(index)}`).join("")
        const bytes = new TextEncoder().encode(withMark ? `\ufeff${all}` : all)
        const pieces = cut(
          bytes,
          places.map((place) => Math.min(place, bytes.length))
        )
        assert.deepStrictEqual(await collect({ fetch: inPieces(pieces) }), told)
      }
    )
    await fc.assert(property, { seed, numRuns: 200 })
  })

  it("is the same on a real socket that gives one byte at a time", async () => {
    const bytes = new TextEncoder().encode(text.join("\r\n"))
    await using server = await listen(async (response) => {
      response.socket?.setNoDelay(true)
      stream(response)
      for (const byte of bytes) {
        await new Promise((resolve) => response.write(Uint8Array.of(byte), resolve))
      }
    })
    assert.deepStrictEqual(await collect({ baseUrl: server.url }), told)
  })

  it("is asked of the run that is meant", async () => {
    await using server = await listen((response) => stream(response, event(receipts.ended)))
    await collect({ baseUrl: `${server.url}/api`, runId: "run 1" })
    const path = "/api/chats/chat-1/messages/message-1/stop/events?runId=run%201"
    assert.deepStrictEqual(
      server.asked.map(({ method, url }) => [method, url]),
      [["GET", path]]
    )
  })

  for (const receipt of [
    receipts.ended,
    receipts.tooLate,
    receipts.superseded,
    receipts.lost,
    { ...receipts.none, ended: receipts.ended.ended }
  ]) {
    it(`ends with ${receipt.phase}${receipt.phase === "none" ? " of a run that is over" : ""}, also if the server does not`, async () => {
      await using server = await listen((response) => stream(response, event(receipt)))
      assert.deepStrictEqual(await collect({ baseUrl: server.url }), [receipt])
      await server.until(() => server.connected() === 0)
      assert.lengthOf(server.asked, 1)
    })
  }
})

describe("a connection that is lost", () => {
  it("is made again, and what is known already is not told again", async () => {
    await using server = await listen((response, _, index) => {
      switch (index) {
        case 0:
          stream(response, soon, event(receipts.none))
          return response.write(event(receipts.requested), () => response.destroy())
        case 1:
          // As after the longest time that a server keeps a stream.
          return stream(response, soon, event(receipts.requested)).end()
        case 2:
          return response.destroy()
        case 3:
          return refuse(response, 503, "unavailable", { "retry-after": "0" })
        case 4:
          return response.writeHead(502, { "content-type": "text/html" }).end("<h1>Sorry</h1>")
        default:
          return stream(response, event(receipts.requested), event(receipts.ended)).end()
      }
    })
    const told: Array<string> = []
    const onRetry = ({ code, status }: StopError) => told.push(`${code} ${status}`)
    const heard = await collect({ baseUrl: server.url, onRetry })
    assert.deepStrictEqual(phases(heard), ["none", "requested", "ended"])
    assert.lengthOf(server.asked, 6)
    assert.deepStrictEqual(told, [
      "no_answer undefined",
      "no_answer undefined",
      "no_answer undefined",
      "unavailable 503",
      "unexpected_answer 502"
    ])
  })

  it("is made again for the run that was told of, also if a newer one has begun since", async () => {
    const newer = { ...receipts.none, runId: "newer" }
    const older = `?runId=${receipts.none.runId}`
    await using server = await listen((response, { url }, index) => {
      // A newer run is the current one since the connection was lost.
      const now = url.endsWith(older) ? receipts.ended : newer
      if (index > 0) return stream(response, event(now)).end()
      return stream(response, soon).write(event(receipts.none), () => response.destroy())
    })
    const told: Array<StopReceipt> = []
    for await (const receipt of stopEvents({ ...message, baseUrl: server.url })) {
      told.push(receipt)
      if (receipt.runId === newer.runId) break
    }
    assert.deepStrictEqual(told, [receipts.none, receipts.ended])
    const path = "/chats/chat-1/messages/message-1/stop/events"
    assert.deepStrictEqual(
      server.asked.map(({ url }) => url),
      [path, path + older]
    )
  })

  it("is made again if it is silent, and not while there are signs of life", async () => {
    let signs = 0
    await using server = await listen((response, _, index) => {
      if (index > 0) return stream(response, event(receipts.ended))
      stream(response, soon, event(receipts.none))
      const beat = setInterval(() => {
        signs += 1
        response.write(": alive\n\n")
        if (signs === 10) clearInterval(beat)
      }, 100)
      return response.on("close", () => clearInterval(beat))
    })
    const heard = await collect({ baseUrl: server.url, timeout: 500 })
    assert.deepStrictEqual(phases(heard), ["none", "ended"])
    assert.strictEqual(signs, 10)
    const [first = 0, second = 0] = server.asked.map(({ at }) => at)
    assert.isAtLeast(second - first, 1500)
    await server.until(() => server.connected() === 0)
  })

  describe("by the clock", () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
      return () => vi.useRealTimers()
    })

    it("is not lost because its reader thinks about a receipt", async () => {
      const signals: Array<AbortSignal | null | undefined> = []
      const answer = inPieces([
        new TextEncoder().encode(event(receipts.none) + event(receipts.ended))
      ])
      const once: typeof fetch = (input, init) => {
        signals.push(init?.signal)
        return answer(input)
      }
      const events = stopEvents({ ...message, fetch: once })
      await events.next()
      await vi.advanceTimersByTimeAsync(600_000)
      assert.isFalse(signals[0]?.aborted)
      assert.strictEqual((await events.next()).value?.phase, "ended")
      assert.lengthOf(signals, 1)
    })

    it("leaves no timer behind, however often it is lost", async () => {
      let tries = 0
      const lost: typeof fetch = async () => {
        tries += 1
        throw new TypeError("lost")
      }
      const events = stopEvents({ ...message, fetch: lost })
      const ended = events.next()
      await vi.advanceTimersByTimeAsync(20_000)
      assert.isAtLeast(tries, 5)
      // The limit of the last try, and the pause before the next.
      assert.isAtMost(vi.getTimerCount(), 2)
      events.close()
      await ended
      assert.strictEqual(vi.getTimerCount(), 0)
    })

    it("is silent for 45 seconds, and is made again after one, two, and up to 30 seconds", async () => {
      const begun: Array<number> = []
      let now = 0
      const silent: typeof fetch = (_, init) =>
        new Promise((_, reject) => {
          begun.push(now)
          init?.signal?.addEventListener("abort", () => reject(new Error("aborted")))
        })
      const events = stopEvents({ ...message, fetch: silent })
      const ended = events.next()
      for (; begun.length < 9; now += 250) await vi.advanceTimersByTimeAsync(250)
      events.close()
      assert.isTrue((await ended).done)
      const pauses = begun.slice(1).map((at, index) => (at - (begun[index] ?? 0)) / 1000 - 45)
      for (const [index, most] of [1, 2, 4, 8, 16, 30, 30, 30].entries()) {
        assert.isAtLeast(pauses[index] ?? 0, most * 0.75 - 0.5)
        assert.isAtMost(pauses[index] ?? Infinity, most + 0.5)
      }
    })

    for (const [what, answer] of [
      ["Retry-After", () => new Response("", { status: 503, headers: { "retry-after": "86400" } })],
      ["retry", inPieces([encoded(`retry: 86400000\n\n${event(receipts.none)}`)])]
    ] satisfies ReadonlyArray<readonly [string, (url: string) => Response | Promise<Response>]>) {
      it(`is made again within a minute, whatever ${what} says`, async () => {
        let tries = 0
        const lost: typeof fetch = async () => {
          tries += 1
          return tries === 1 ? answer("") : inPieces([encoded(event(receipts.ended))])("")
        }
        const heard = collect({ fetch: lost })
        await vi.advanceTimersByTimeAsync(59_000)
        assert.strictEqual(tries, 1)
        await vi.advanceTimersByTimeAsync(1100)
        assert.strictEqual(phases(await heard).at(-1), "ended")
      })
    }
  })
})

describe("a stream that cannot be had", () => {
  for (const [what, impossible] of [
    ["no header has such a name", { headers: { "bad header": "x" } }],
    ["outside of a page an address must be whole", { baseUrl: "/api" }]
  ] satisfies ReadonlyArray<readonly [string, Partial<StopOptions>]>) {
    it(`is given up if it never can be: ${what}`, async () => {
      const onRetry = () => assert.fail("told that it is tried again")
      const options = { baseUrl: "http://127.0.0.1:9", ...impossible, onRetry }
      const error = await collect(options).catch((error: unknown) => error)
      assert.instanceOf(error, StopError)
      assert.deepStrictEqual([error.code, error.status], ["invalid_request", 400])
    })
  }

  it("is tried again if the headers cannot be had, and given up if they say so", async () => {
    let count = 0
    const headers = async () => {
      count += 1
      if (count === 1) throw new TypeError("away")
      throw new StopError("unauthenticated", "Log in first.", { status: 401 })
    }
    const error = await collect({ baseUrl: "http://127.0.0.1:9", headers }).catch(
      (error: unknown) => error
    )
    assert.strictEqual((error as StopError).code, "unauthenticated")
    assert.strictEqual(count, 2)
  })

  for (const [status, code] of [
    [400, "invalid_request"],
    [401, "unauthenticated"],
    [403, "forbidden"],
    [404, "not_found"],
    [500, "internal_error"],
    [501, "not_supported"]
  ] as const) {
    it(`is given up at ${status}, also when it comes again`, async () => {
      await using server = await listen((response, _, index) =>
        index === 0
          ? stream(response, soon, event(receipts.none)).end()
          : refuse(response, status, code)
      )
      const error = await collect({ baseUrl: server.url }).catch((error: unknown) => error)
      assert.instanceOf(error, StopError)
      assert.deepStrictEqual([error.code, error.status], [code, status])
      assert.lengthOf(server.asked, 2)
    })
  }

  it("is given up if what answers is no stream of receipts", async () => {
    await using server = await listen((response, _, index) => {
      if (index === 0) return response.writeHead(200, { "content-type": "text/html" }).end("<p>")
      if (index === 1) return json(response, 200, receipts.ended)
      if (index === 2) return response.writeHead(204).end()
      return stream(response, index === 3 ? "data: <p>\n\n" : 'data: {"phase":"ended"}\n\n')
    })
    for (const status of [200, 200, 204, 200, 200]) {
      const error = await collect({ baseUrl: server.url }).catch((error: unknown) => error)
      assert.instanceOf(error, StopError)
      assert.deepStrictEqual([error.code, error.status], ["unexpected_answer", status])
    }
    assert.lengthOf(server.asked, 5)
  })
})

describe("whoever leaves", () => {
  const endless = () =>
    listen((response) => stream(response, soon, event(receipts.none), event(receipts.requested)))

  it("by the end of their loop closes the connection", async () => {
    await using server = await endless()
    for await (const { phase } of stopEvents({ ...message, baseUrl: server.url })) {
      if (phase === "requested") break
    }
    await server.until(() => server.connected() === 0)
    assert.lengthOf(server.asked, 1)
  })

  it("by an error in their loop closes the connection, and hears of it", async () => {
    await using server = await endless()
    const error = new Error("of the page")
    const loop = async () => {
      for await (const _ of stopEvents({ ...message, baseUrl: server.url })) throw error
    }
    assert.strictEqual(await loop().catch((error: unknown) => error), error)
    await server.until(() => server.connected() === 0)
  })

  for (const [how, when] of [
    ["close()", "while nothing comes"],
    ["the signal", "while nothing comes"],
    ["close()", "within their loop"],
    ["the signal", "within their loop"]
  ] as const) {
    it(`by ${how} ${when} ends the loop, without an error`, async () => {
      await using server = await endless()
      const leaving = new AbortController()
      const { signal } = leaving
      const onRetry = () => assert.fail("told that it is tried again")
      const events = stopEvents({ ...message, baseUrl: server.url, signal, onRetry })
      const leave = () => (how === "close()" ? events.close() : leaving.abort())
      const heard: Array<string> = []
      for await (const { phase } of events) {
        heard.push(phase)
        if (phase !== "requested") continue
        if (when === "within their loop") leave()
        else setImmediate(leave)
      }
      assert.deepStrictEqual(heard, ["none", "requested"])
      await server.until(() => server.connected() === 0)
      assert.lengthOf(server.asked, 1)
      assert.lengthOf(getEventListeners(signal, "abort"), 0)
    })
  }

  it("before there is an answer leaves no connection", async () => {
    await using server = await listen(() => {})
    const events = stopEvents({ ...message, baseUrl: server.url })
    const ended = events.next()
    await server.until(() => server.asked.length === 1)
    events.close()
    assert.isTrue((await ended).done)
    await server.until(() => server.connected() === 0)
  })

  it("between two connections makes no other", async () => {
    const leaving = new AbortController()
    await using server = await listen((response) =>
      refuse(response, 503, "unavailable", { "retry-after": "3600" })
    )
    const onRetry = () => leaving.abort()
    assert.deepStrictEqual(
      await collect({ baseUrl: server.url, signal: leaving.signal, onRetry }),
      []
    )
    assert.lengthOf(server.asked, 1)
  })

  it("before it began asks nothing", async () => {
    await using server = await endless()
    assert.deepStrictEqual(await collect({ baseUrl: server.url, signal: AbortSignal.abort() }), [])
    const events = stopEvents({ ...message, baseUrl: server.url })
    events.close()
    assert.isTrue((await events.next()).done)
    assert.lengthOf(server.asked, 0)
  })

  it("hears nothing more, also of what has come already", async () => {
    const bytes = encoded(event(receipts.none) + event(receipts.requested))
    for (const leave of ["close", "signal"] as const) {
      const leaving = new AbortController()
      const options = { ...message, fetch: inPieces([bytes]), signal: leaving.signal }
      const events = stopEvents(options)
      assert.strictEqual((await events.next()).value?.phase, "none")
      if (leave === "close") events.close()
      else leaving.abort()
      assert.isTrue((await events.next()).done)
    }
  })

  const never = new Promise<never>(() => {})

  it("between an answer and its body ends the loop", async () => {
    for (let steps = 0; steps < 20; steps += 1) {
      const fetch = async () => {
        let left = steps
        const step = () => (left-- > 0 ? queueMicrotask(step) : events.close())
        step()
        return new Response(new ReadableStream({ pull: () => never }), {
          headers: { "content-type": "text/event-stream" }
        })
      }
      const events = stopEvents({ ...message, fetch })
      assert.isTrue((await events.next()).done)
    }
  })

  for (const [what, hanging] of [
    ["headers that do not come", { headers: () => never }],
    ["a fetch that knows no signal", { fetch: () => never }],
    [
      "a stream that knows no signal",
      {
        fetch: async () =>
          new Response(new ReadableStream({ pull: () => never }), {
            headers: { "content-type": "text/event-stream" }
          })
      }
    ]
  ] satisfies ReadonlyArray<readonly [string, Partial<StopOptions>]>) {
    it(`does not hang on ${what}, and tries again after a silence`, async () => {
      const retries: Array<string> = []
      const events = stopEvents({
        ...message,
        baseUrl: "http://127.0.0.1:9",
        timeout: 50,
        ...hanging,
        onRetry: ({ code }) => {
          retries.push(code)
          setTimeout(events.close, 10)
        }
      })
      assert.isTrue((await events.next()).done)
      assert.deepStrictEqual(retries, ["no_answer"])
    })

    it(`does not hang on ${what} when it is closed`, async () => {
      const events = stopEvents({ ...message, baseUrl: "http://127.0.0.1:9", ...hanging })
      const ended = events.next()
      setTimeout(events.close, 20)
      assert.isTrue((await ended).done)
    })
  }
})
