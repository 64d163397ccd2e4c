import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { MessageRef, MessageRepo, MessageStore, Run, RunId } from "effect-cancellation"
import {
  isFinal,
  stopChat,
  StopError,
  stopMessage,
  type StopMessageOptions,
  stopReceipt,
  type StopReceipt
} from "effect-cancellation-http/browser"
import { CurrentActor } from "effect-cancellation-http/CurrentActor"
import { Receipt } from "effect-cancellation-http/StopApi"
import { StopPolicy } from "effect-cancellation-http/StopPolicy"
import * as StopServer from "effect-cancellation-http/StopServer"
import { getEventListeners } from "node:events"
import { receipts } from "./support/receipts.ts"
import { type Answer, json, listen, refuse } from "./support/scripted.ts"

const message = { chatId: "chat-1", messageId: "message-1" }

const seed = Number(process.env["RANDOM_SEED"] ?? Date.now() % 0x7fffffff)

/** What a promise was rejected with; it must be. */
const rejected = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => assert.fail(`not rejected, but ${JSON.stringify(value)}`),
    (error: unknown) => error
  )

const refused = async (promise: Promise<unknown>): Promise<StopError> => {
  const error = await rejected(promise)
  if (!(error instanceof StopError)) throw error
  return error
}

/** A port on which nobody listens. */
const nobody = async () => {
  const server = await listen(() => {})
  await server[Symbol.asyncDispose]()
  return server.url
}

describe("a receipt", () => {
  // Type-checked: what the contract encodes is what the client says that it answers.
  const there = (receipt: typeof Receipt.Encoded): StopReceipt => receipt
  const back = (receipt: StopReceipt): typeof Receipt.Encoded => receipt

  it(`is whatever the contract says (seed ${seed})`, async () => {
    const encode = Schema.encodeSync(Schema.toCodecJson(Receipt))
    const samples = await Effect.runPromise(
      Arbitrary.sampleEffect(Arbitrary.schema(Receipt), { seed, count: 300 })
    )
    await using server = await listen((response, _, index) =>
      json(response, 200, encode(samples[index] ?? assert.fail("asked too often")))
    )
    for (const sample of samples) {
      const receipt = await stopMessage({ ...message, baseUrl: server.url })
      assert.deepStrictEqual(Schema.decodeSync(Receipt)(back(receipt)), sample)
    }
  })

  it("is final if nothing more will come", () => {
    const final = Object.values(receipts).filter((receipt) => isFinal(there(receipt)))
    assert.deepStrictEqual(
      final.map(({ phase }) => phase),
      ["ended", "tooLate", "superseded", "lost"]
    )
    assert.isTrue(isFinal({ ...receipts.none, ended: receipts.ended.ended }))
  })
})

describe("what is asked", () => {
  const ids = { chatId: "a/b c%2e?#", messageId: "é😀&=+", runId: "r/1&x=y" }
  const chat = "/api/chats/a%2Fb%20c%252e%3F%23"
  const path = `${chat}/messages/${encodeURIComponent(ids.messageId)}/stop`

  it("has its ids percent-encoded, JSON declared, and no more than was said", async () => {
    await using server = await listen((response, { url }) =>
      json(response, 202, url.endsWith(`${chat}/stop`) ? { receipts: [] } : receipts.requested)
    )
    const connection = { baseUrl: `${server.url}/api/`, headers: { authorization: "Bearer ada" } }
    await stopMessage({ ...ids, ...connection, note: "enough", reason: "user" })
    await stopMessage({ chatId: ids.chatId, messageId: ids.messageId, ...connection })
    await stopChat({ chatId: ids.chatId, ...connection, reason: "disconnect" })
    await stopReceipt({ ...ids, ...connection })
    assert.deepStrictEqual(
      server.asked.map(({ body, method, url }) => [method, url, body]),
      [
        ["POST", path, '{"runId":"r/1&x=y","reason":"user","note":"enough"}'],
        ["POST", path, "{}"],
        ["POST", `${chat}/stop`, '{"reason":"disconnect"}'],
        ["GET", `${path}?runId=r%2F1%26x%3Dy`, ""]
      ]
    )
    const headers = server.asked.map(({ headers }) => headers)
    assert.deepStrictEqual(
      headers.map((sent) => sent["content-type"]),
      ["application/json", "application/json", "application/json", undefined]
    )
    assert.deepStrictEqual(
      new Set(headers.map((sent) => sent.authorization)),
      new Set(["Bearer ada"])
    )
  })

  for (const id of ["", ".", "..", "\ud800"]) {
    it(`names no other thing by the id ${JSON.stringify(id)}`, async () => {
      await using server = await listen((response) => json(response, 202, receipts.requested))
      const connection = { baseUrl: server.url }
      for (const asked of [
        stopMessage({ ...connection, chatId: id, messageId: "message-1" }),
        stopMessage({ ...connection, chatId: "chat-1", messageId: id }),
        stopChat({ ...connection, chatId: id }),
        stopReceipt({ ...connection, chatId: "chat-1", messageId: id })
      ]) {
        assert.strictEqual((await refused(asked)).code, "invalid_request")
      }
      assert.lengthOf(server.asked, 0)
    })
  }

  it("outlives its page if the page is being closed", async () => {
    const sent: Array<boolean | undefined> = []
    const options: StopMessageOptions = {
      ...message,
      fetch: async (_, init) => {
        sent.push(init?.keepalive)
        return Response.json(receipts.requested)
      }
    }
    await stopMessage({ ...options, reason: "disconnect" })
    await stopMessage({ ...options, reason: "user" })
    await stopMessage(options)
    await stopMessage({ ...options, keepalive: true })
    await stopMessage({ ...options, reason: "disconnect", keepalive: false })
    assert.deepStrictEqual(sent, [true, false, false, true, false])
  })

  for (const [what, impossible] of [
    ["no header has such a name", { headers: { "bad header": "x" } }],
    ["no header has such a value", { headers: () => ({ authorization: "a\nb" }) }],
    ["no run has such a name", { runId: "\ud800" }],
    ["outside of a page an address must be whole", { baseUrl: "/api" }]
  ] satisfies ReadonlyArray<readonly [string, Partial<StopMessageOptions>]>) {
    it(`is not asked again and again if it never can be: ${what}`, async () => {
      const options = { ...message, baseUrl: await nobody(), ...impossible }
      const onRetry = () => assert.fail("told that it is tried again")
      const error = await refused(stopReceipt({ ...options, onRetry }))
      assert.deepStrictEqual([error.code, error.status], ["invalid_request", 400])
      assert.instanceOf(error.cause, Error)
    })
  }

  it("is relative if a fetch of its own knows to what", async () => {
    const asked: Array<unknown> = []
    const fetch: typeof globalThis.fetch = async (url) => {
      asked.push(url)
      return Response.json(receipts.none)
    }
    await stopReceipt({ ...message, baseUrl: "/api", fetch })
    assert.deepStrictEqual(asked, ["/api/chats/chat-1/messages/message-1/stop"])
  })

  it("has headers that are made anew for each try", async () => {
    let count = 0
    await using server = await listen((response, _, index) =>
      index === 0
        ? refuse(response, 503, "unavailable", { "retry-after": "0" })
        : json(response, 202, receipts.requested)
    )
    await stopMessage({
      ...message,
      baseUrl: server.url,
      headers: async () => ({ authorization: `Bearer ${(count += 1)}` })
    })
    assert.deepStrictEqual(
      server.asked.map(({ headers }) => headers.authorization),
      ["Bearer 1", "Bearer 2"]
    )
  })
})

describe("what is answered", () => {
  it("is a receipt for each message of a chat", async () => {
    const answer = [receipts.requested, receipts.observed]
    await using server = await listen((response) => json(response, 202, { receipts: answer }))
    assert.deepStrictEqual(await stopChat({ baseUrl: server.url, chatId: "chat-1" }), answer)
  })

  it("is undefined where there is no such run, and an error where there is no Stop API", async () => {
    await using server = await listen((response, _, index) =>
      index === 0
        ? refuse(response, 404, "not_found")
        : response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not found</h1>")
    )
    const options = { ...message, baseUrl: server.url }
    assert.isUndefined(await stopReceipt(options))
    const error = await refused(stopReceipt(options))
    assert.deepStrictEqual([error.code, error.status], ["unexpected_answer", 404])
  })

  const { runId: _, ...nameless } = receipts.requested
  const odd: ReadonlyArray<readonly [what: string, body: string]> = [
    ["a page", "<!doctype html><title>Log in</title>"],
    ["nothing", ""],
    ["null", "null"],
    ["other JSON", '{"ok":true}'],
    ["a list", "[]"],
    ["a receipt that is cut", JSON.stringify(receipts.requested).slice(0, -1)],
    ["a receipt without a run", JSON.stringify(nameless)],
    ["a receipt without its parts", JSON.stringify({ ...receipts.requested, phase: "ended" })],
    ["an unknown phase", JSON.stringify({ ...receipts.requested, phase: "constructor" })],
    ["receipts of which one is odd", JSON.stringify({ receipts: [receipts.requested, {}] })]
  ]
  for (const [what, body] of odd) {
    it(`is no receipt if it is ${what}`, async () => {
      await using server = await listen((response) =>
        response.writeHead(200, { "content-type": "text/html" }).end(body)
      )
      const options = { ...message, baseUrl: server.url }
      for (const ask of [stopMessage, stopChat, stopReceipt]) {
        const error = await refused(ask(options))
        assert.deepStrictEqual([error.code, error.status], ["unexpected_answer", 200])
      }
      assert.lengthOf(server.asked, 3)
    })
  }

  for (const [status, code] of [
    [400, "invalid_request"],
    [401, "unauthenticated"],
    [403, "forbidden"],
    [403, "cross_site"],
    [413, "too_large"],
    [415, "unsupported_media_type"],
    [500, "internal_error"],
    [501, "not_supported"]
  ] as const) {
    it(`is asked once if it is refused with ${status} ${code}`, async () => {
      await using server = await listen((response) => refuse(response, status, code))
      const error = await refused(stopMessage({ ...message, baseUrl: server.url }))
      assert.deepStrictEqual(
        [error.name, error.code, error.status, error.message, error.retryAfter],
        ["StopError", code, status, "No.", undefined]
      )
      assert.lengthOf(server.asked, 1)
    })
  }
})

describe("a stop that cannot be asked now", () => {
  it("is asked again when the server says, and whoever asks is told why it takes so long", async () => {
    await using server = await listen((response, _, index) =>
      index === 0
        ? refuse(response, 503, "unavailable", { "retry-after": "1" })
        : index === 1
          ? refuse(response, 429, "rate_limited", {
              "retry-after": new Date(Date.now() + 2000).toUTCString()
            })
          : json(response, 202, receipts.requested)
    )
    const told: Array<string> = []
    const onRetry = ({ code }: StopError) => told.push(code)
    const receipt = await stopMessage({ ...message, baseUrl: server.url, onRetry })
    assert.deepStrictEqual(receipt, receipts.requested)
    assert.deepStrictEqual(told, ["unavailable", "rate_limited"])
    const [first = 0, second = 0, third = 0] = server.asked.map(({ at }) => at)
    assert.isAtLeast(second - first, 990)
    // A date is of whole seconds.
    assert.isAtLeast(third - second, 900)
  })

  it("is asked again if the connection is lost, before or within the answer", async () => {
    await using server = await listen((response, _, index) => {
      if (index === 0) return response.destroy()
      if (index === 1) {
        response.writeHead(202, { "content-type": "application/json", "content-length": "500" })
        response.write(JSON.stringify(receipts.requested))
        return response.destroy()
      }
      return json(response, 202, receipts.requested)
    })
    const receipt = await stopMessage({ ...message, baseUrl: server.url })
    assert.deepStrictEqual(receipt, receipts.requested)
    assert.deepStrictEqual(new Set(server.asked.map(({ body }) => body)), new Set(["{}"]))
  })

  for (const status of [502, 503, 504]) {
    it(`is asked again if a proxy says ${status} in words of its own`, async () => {
      await using server = await listen((response, _, index) =>
        index === 0
          ? response.writeHead(status, { "content-type": "text/html" }).end("<h1>Sorry</h1>")
          : json(response, 202, receipts.requested)
      )
      await stopMessage({ ...message, baseUrl: server.url })
      assert.lengthOf(server.asked, 2)
    })
  }

  it("is given up in time", async () => {
    const begun = performance.now()
    const error = await refused(stopMessage({ ...message, baseUrl: await nobody(), timeout: 1200 }))
    assert.deepStrictEqual([error.code, error.status], ["no_answer", undefined])
    assert.isDefined(error.cause)
    assert.isBelow(performance.now() - begun, 2500)
  })

  it("is given up at once if the server is away for longer than is waited", async () => {
    const giveUp = new AbortController()
    await using server = await listen((response, _, index) =>
      refuse(response, 503, "unavailable", { "retry-after": index === 0 ? "31" : "29" })
    )
    const error = await refused(stopMessage({ ...message, baseUrl: server.url }))
    assert.deepStrictEqual([error.code, error.status, error.retryAfter], ["unavailable", 503, 31])
    assert.lengthOf(server.asked, 1)
    const patient = { signal: giveUp.signal, onRetry: () => giveUp.abort("told") }
    const waited = rejected(stopMessage({ ...message, baseUrl: server.url, ...patient }))
    assert.strictEqual(await waited, "told")
  })

  for (const [what, answer] of [
    ["says nothing", () => {}],
    ["does not finish", (response) => response.writeHead(202).write("{")]
  ] satisfies ReadonlyArray<readonly [string, Answer]>) {
    it(`is given up if the server ${what}, and leaves no connection`, async () => {
      await using server = await listen(answer)
      const error = await refused(stopMessage({ ...message, baseUrl: server.url, timeout: 300 }))
      assert.strictEqual(error.code, "no_answer")
      await server.until(() => server.connected() === 0)
    })
  }
})

describe("a stop that is waited for", () => {
  it("is asked again, for the run that was stopped, until the phase has come", async () => {
    const answers = [
      [202, receipts.requested],
      [202, receipts.observed],
      [200, receipts.ended]
    ] as const
    await using server = await listen((response, _, index) => {
      const [status, receipt] = answers[index] ?? assert.fail("asked too often")
      json(response, status, receipt)
    })
    const options: StopMessageOptions = { ...message, baseUrl: server.url, wait: "ended" }
    assert.deepStrictEqual(await stopMessage(options), receipts.ended)
    assert.deepStrictEqual(
      server.asked.map(({ body }) => body),
      ['{"wait":"ended"}', '{"runId":"run-1","wait":"ended"}', '{"runId":"run-1","wait":"ended"}']
    )
  })

  it("is not asked again after its phase, or one after which it cannot come", async () => {
    for (const [status, receipt, wait] of [
      [202, receipts.observed, "observed"],
      [202, receipts.tooLate, "ended"],
      [202, receipts.lost, "observed"],
      [202, receipts.superseded, "ended"],
      // Of nothing that runs nobody knows what to wait for.
      [202, receipts.pending, "ended"],
      [200, receipts.requested, "ended"],
      [202, receipts.requested, undefined]
    ] as const) {
      await using server = await listen((response) => json(response, status, receipt))
      const answer = await stopMessage({ ...message, baseUrl: server.url, wait })
      assert.deepStrictEqual(answer, receipt)
      assert.lengthOf(server.asked, 1)
    }
  })

  it("is given up when it has waited for its run in vain, and is not asked anew", async () => {
    const at = Date.parse("2026-11-23T14:00:00.000Z")
    const pending = {
      ...receipts.pending,
      runId: "run-1",
      requested: { ...receipts.pending.requested, at: new Date(at).toISOString() },
      expiresAt: new Date(at + 1200).toISOString()
    }
    await using server = await listen((response) => json(response, 202, pending))
    const options = { ...message, runId: "run-1", baseUrl: server.url, wait: "ended" } as const
    assert.deepStrictEqual(await stopMessage(options), pending)
    const [first = 0, ...others] = server.asked.map(({ at }) => at)
    assert.lengthOf(others, 2)
    assert.isBelow(Math.max(...others) - first, 1200)
  })

  it("is over when it has waited in vain: what begins afterwards goes on", async () => {
    const store = MessageStore.layerMemory({ tombstoneTtl: "1500 millis" })
    const repo = ManagedRuntime.make(MessageRepo.layer().pipe(Layer.provideMerge(store)))
    const ada = CurrentActor.layer(() => Effect.succeed({ userId: "ada" }))
    const services = Layer.effectContext(repo.contextEffect)
    const { dispose, handler } = StopServer.toWebHandler(
      { allowedOrigins: [], maxWait: "500 millis" },
      Layer.mergeAll(ada, StopPolicy.layerOwn(), services)
    )
    const start = (userId: string) => {
      const run = Run.make({
        ref: MessageRef.of({ ...message, userId }),
        runId: RunId.make("run-1")
      })
      return repo.runPromise(MessageStore.use((store) => store.startRuns([run])))
    }
    const options: StopMessageOptions = {
      ...message,
      runId: "run-1",
      baseUrl: "http://localhost",
      fetch: (url, init) => handler(new Request(url, init))
    }
    try {
      // Nobody's, and hidden from her: neither can be told from the other.
      for (const before of [undefined, "bob"]) {
        if (before !== undefined) await start(before)
        const receipt = await stopMessage({
          ...options,
          wait: "ended"
        })
        assert.strictEqual(receipt.phase, "pending")
      }
      await start("ada")
      assert.strictEqual((await stopReceipt(options))?.phase, "none")
    } finally {
      await dispose()
      await repo.dispose()
    }
  })

  it("of a chat is asked again for each message by itself", async () => {
    const other = { ...receipts.requested, messageId: "message-2", runId: "run-2" }
    await using server = await listen((response, { url }) =>
      url === "/chats/chat-1/stop"
        ? json(response, 202, { receipts: [receipts.requested, other, receipts.tooLate] })
        : json(response, 200, { ...receipts.ended, messageId: url.split("/")[4] })
    )
    const answer = await stopChat({ baseUrl: server.url, chatId: "chat-1", wait: "ended" })
    assert.deepStrictEqual(
      answer.map(({ messageId, phase }) => [messageId, phase]),
      [
        ["message-1", "ended"],
        ["message-2", "ended"],
        ["message-1", "tooLate"]
      ]
    )
    assert.deepStrictEqual(server.asked.map(({ body, url }) => `${url} ${body}`).toSorted(), [
      '/chats/chat-1/messages/message-1/stop {"runId":"run-1","wait":"ended"}',
      '/chats/chat-1/messages/message-2/stop {"runId":"run-2","wait":"ended"}',
      '/chats/chat-1/stop {"wait":"ended"}'
    ])
  })
})

describe("a page that does not want to know any more", () => {
  const reason = new Error("left")

  it("asks nothing if it had left before", async () => {
    await using server = await listen((response) => json(response, 202, receipts.requested))
    const signal = AbortSignal.abort(reason)
    const options = { ...message, baseUrl: server.url, signal }
    for (const ask of [stopMessage, stopChat, stopReceipt]) {
      assert.strictEqual(await rejected(ask(options)), reason)
    }
    assert.lengthOf(server.asked, 0)
  })

  for (const [what, answer, wait] of [
    ["while the server thinks", () => {}, undefined],
    ["within an answer", (response) => response.writeHead(202).write("{"), undefined],
    ["before it is asked again", (response) => refuse(response, 503, "unavailable"), undefined],
    ["between waits", (response) => json(response, 202, receipts.requested), "ended"]
  ] satisfies ReadonlyArray<readonly [string, Answer, StopMessageOptions["wait"]]>) {
    it(`leaves nothing behind ${what}`, async () => {
      await using server = await listen(answer)
      const leaving = new AbortController()
      const { signal } = leaving
      const onRetry = () => {
        if (signal.aborted) assert.fail("told that it is tried again")
      }
      const options = { ...message, baseUrl: server.url, signal, wait, onRetry }
      const asked = rejected(stopMessage(options))
      await server.until(() => server.asked.length > 0)
      leaving.abort(reason)
      assert.strictEqual(await asked, reason)
      assert.lengthOf(getEventListeners(signal, "abort"), 0)
      const { length } = server.asked
      if (what === "while the server thinks" || what === "within an answer") {
        await server.until(() => server.connected() === 0)
      }
      assert.lengthOf(server.asked, length)
    })
  }

  const never = new Promise<never>(() => {})
  for (const [what, hanging] of [
    ["headers that do not come", { headers: () => never }],
    ["a fetch that knows no signal", { fetch: () => never }],
    [
      "an answer that knows no signal",
      { fetch: async () => new Response(new ReadableStream({ pull: () => never })) }
    ]
  ] satisfies ReadonlyArray<readonly [string, Partial<StopMessageOptions>]>) {
    it(`does not hang on ${what}`, async () => {
      await using server = await listen((response) => json(response, 202, receipts.requested))
      const options = { ...message, baseUrl: server.url, ...hanging }
      const leaving = new AbortController()
      const asked = rejected(stopMessage({ ...options, signal: leaving.signal }))
      setTimeout(() => leaving.abort(reason), 50)
      assert.strictEqual(await asked, reason)
      assert.lengthOf(getEventListeners(leaving.signal, "abort"), 0)
      const late = await refused(stopMessage({ ...options, timeout: 100 }))
      assert.strictEqual(late.code, "no_answer")
    })
  }

  it("sends nothing when its headers come late", async () => {
    const headers = Promise.withResolvers<HeadersInit>()
    const leaving = new AbortController()
    let asks = 0
    const fetch = async () => {
      asks += 1
      return Response.json(receipts.none)
    }
    const options = { ...message, signal: leaving.signal, headers: () => headers.promise, fetch }
    const asked = rejected(stopMessage(options))
    leaving.abort(reason)
    assert.strictEqual(await asked, reason)
    headers.resolve({})
    await new Promise(setImmediate)
    assert.strictEqual(asks, 0)
  })

  it("leaves between an answer and its body", async () => {
    for (let steps = 0; steps < 20; steps += 1) {
      const leaving = new AbortController()
      const fetch = async () => {
        let left = steps
        const step = () => (left-- > 0 ? queueMicrotask(step) : leaving.abort(reason))
        step()
        return new Response(new ReadableStream({ pull: () => never }))
      }
      const asked = stopMessage({ ...message, fetch, signal: leaving.signal })
      assert.strictEqual(await rejected(asked), reason)
    }
  })
})
