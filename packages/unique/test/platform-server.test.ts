// The stand-in for the platform against the facts of the platform, asked with nothing but fetch.
import { createHmac } from "node:crypto"
import { Agent, createServer, get, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"

const ada = { companyId: "company_1", userId: "user_ada" }
const bob = { companyId: "company_1", userId: "user_bob" }
const eve = { companyId: "company_2", userId: "user_ada" }
const chatId = "chat_1"

interface Asked {
  readonly method?: string
  readonly owner?: typeof ada
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** JSON, or the text of a body as it is. */
  readonly body?: unknown
  readonly base?: string
}

const ask = (platform: Platform, path: string, asked: Asked = {}) =>
  Effect.tryPromise(async (signal) => {
    const { owner = ada, body, base = platform.baseUrl } = asked
    const headers = new Headers()
    for (const [name, value] of Object.entries({
      authorization: `Bearer ${platform.apiKey}`,
      "x-app-id": platform.appId,
      "x-user-id": owner.userId,
      "x-company-id": owner.companyId,
      "x-api-version": "2023-12-06",
      "content-type": body === undefined ? undefined : "application/json",
      ...asked.headers
    })) {
      if (value !== undefined) headers.set(name, value)
    }
    const response = await fetch(`${base}${path}`, {
      method: asked.method ?? "GET",
      headers,
      signal,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) })
    })
    const text = await response.text()
    const { status } = response
    return { status, headers: response.headers, text, json: () => JSON.parse(text) }
  })

const change = (platform: Platform, id: string, body: unknown, asked: Asked = {}) =>
  ask(platform, `/messages/${id}`, { method: "PATCH", body, ...asked })

const create = (platform: Platform, body: unknown, asked: Asked = {}) =>
  ask(platform, "/messages", { method: "POST", body, ...asked })

const statusOf = <E>(answer: Effect.Effect<{ readonly status: number }, E>) =>
  Effect.map(answer, ({ status }) => status)

const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

describe("reading", () => {
  it.effect("answers one message, whole", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const message = platform.add({ ...ada, chatId, text: "so far" })
      const answer = yield* ask(platform, `/messages/${message.id}?chatId=${chatId}`)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers.get("content-type"), "application/json")
      assert.deepStrictEqual(answer.json(), {
        id: message.id,
        chatId,
        object: "message",
        role: "ASSISTANT",
        text: "so far",
        originalText: null,
        references: null,
        debugInfo: null,
        createdAt: message.createdAt,
        updatedAt: message.createdAt,
        completedAt: null,
        startedStreamingAt: null,
        stoppedStreamingAt: null,
        userAbortedAt: null
      })
      assert.match(message.createdAt, iso)
    })
  )

  it.effect("lists a chat oldest first, and nothing of a chat that it does not know", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const newer = platform.add({ ...ada, chatId })
      const older = platform.add({ ...ada, chatId, createdAt: "2020-01-01T00:00:00.000Z" })
      platform.add({ ...ada, chatId: "chat_2" })
      const list = (yield* ask(platform, `/messages?chatId=${chatId}`)).json()
      assert.deepStrictEqual(list, { object: "list", data: [older, newer] })
      const unknown = yield* ask(platform, "/messages?chatId=none")
      assert.strictEqual(unknown.status, 200)
      assert.deepStrictEqual(unknown.json(), { object: "list", data: [] })
    })
  )

  it.effect("serves the same API below each of its paths", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { id } = platform.add({ ...ada, chatId })
      assert.match(platform.baseUrl, /\/public\/chat-gen2$/)
      for (const [path, status] of [
        ["/public/chat-gen2", 200],
        ["/public/chat", 200],
        ["/public", 200],
        ["", 404],
        ["/public/chat-gen2/", 404]
      ] as const) {
        const base = platform.baseUrl.replace("/public/chat-gen2", path)
        const answer = yield* ask(platform, `/messages/${id}?chatId=${chatId}`, { base })
        assert.strictEqual(answer.status, status, path)
      }
    })
  )

  it.effect("decodes ids", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const id = "msg/1 ?é%"
      const chat = "chat&1 +#"
      platform.add({ ...ada, chatId: chat, id })
      const path = `/messages/${encodeURIComponent(id)}?chatId=${encodeURIComponent(chat)}`
      assert.strictEqual((yield* ask(platform, path)).json().id, id)
      const event = `/messages/${encodeURIComponent(id)}/event`
      yield* ask(platform, event, { method: "POST", body: { chatId: chat, text: "a" } })
      assert.deepStrictEqual(platform.events.get(id), ["a"])
      assert.strictEqual(yield* statusOf(ask(platform, `/messages/%E0?chatId=${chatId}`)), 400)
    })
  )
})

describe("writing", () => {
  it.effect("changes what is said and leaves alone what is null", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const references = [{ name: "a" }]
      const before = platform.add({ ...ada, chatId, text: "old", references })
      const completedAt = "2026-01-02T03:04:05.678Z"
      const answer = yield* change(platform, before.id, {
        chatId,
        text: null,
        references: null,
        originalText: "the whole",
        completedAt,
        segmentKind: "ANSWER"
      })
      assert.strictEqual(answer.status, 200)
      const message = platform.message(before.id)
      assert.deepStrictEqual(answer.json(), message)
      const expected = { originalText: "the whole", completedAt, segmentKind: "ANSWER" }
      assert.deepStrictEqual(message, {
        ...before,
        ...expected,
        updatedAt: message?.updatedAt ?? ""
      })
      yield* change(platform, before.id, { chatId, completedAt: null })
      assert.strictEqual(platform.message(before.id)?.completedAt, completedAt)
    })
  )

  it.effect("creates a message under an id of its own", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const body = { chatId, assistantId: "assistant_1", role: "ASSISTANT" }
      const turn = { text: "next", responseTurnId: "turn_1", segmentIndex: 1, segmentKind: null }
      const answer = yield* create(platform, { ...body, ...turn })
      assert.strictEqual(answer.status, 201)
      const message = answer.json()
      assert.match(message.id, /^msg_./)
      assert.deepStrictEqual(platform.messagesOf(chatId), [message])
      assert.strictEqual(message.text, "next")
      assert.strictEqual(message.segmentIndex, 1)
      assert.notProperty(message, "segmentKind")
      assert.notProperty(message, "assistantId")
      const second = (yield* create(platform, body)).json()
      assert.notStrictEqual(second.id, message.id)
      const read = yield* ask(platform, `/messages/${second.id}?chatId=${chatId}`)
      assert.deepStrictEqual(read.json(), second)
    })
  )

  it.effect("shows a streamed text and does not store it", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const before = platform.add({ ...ada, chatId })
      for (const text of ["a", "ab"]) {
        const path = `/messages/${before.id}/event`
        const answer = yield* ask(platform, path, { method: "POST", body: { chatId, text } })
        assert.strictEqual(answer.status, 200)
      }
      assert.deepStrictEqual([...platform.events], [[before.id, ["a", "ab"]]])
      assert.deepStrictEqual(platform.message(before.id), before)
    })
  )

  it.effect("interrupts a turn once, and a user's stop wins", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const interrupt = (id: string, reason = "SYSTEM_INTERRUPTED") => {
        const body = { chatId, reason }
        return statusOf(
          ask(platform, `/messages/${id}/turn-interruption`, { method: "POST", body })
        )
      }
      const first = platform.chatEvent({ ...ada, chatId }).payload
      const second = platform.chatEvent({ ...ada, chatId }).payload
      platform.stopMessage(second.assistantMessage.id)

      assert.strictEqual(platform.interruptedAt(first.userMessage.id), undefined)
      assert.strictEqual(yield* interrupt(first.userMessage.id), 200)
      const at = platform.interruptedAt(first.userMessage.id)
      assert.match(at ?? "", iso)
      assert.strictEqual(yield* interrupt(first.userMessage.id), 200)
      assert.strictEqual(platform.interruptedAt(first.userMessage.id), at)

      assert.strictEqual(yield* interrupt(second.userMessage.id), 200)
      assert.strictEqual(platform.interruptedAt(second.userMessage.id), undefined)
      platform.stopMessage(first.assistantMessage.id)
      assert.strictEqual(platform.interruptedAt(first.userMessage.id), undefined)

      assert.strictEqual(yield* interrupt(first.userMessage.id, "USER_ABORTED"), 400)
      assert.strictEqual(yield* interrupt(first.assistantMessage.id), 400)
      assert.strictEqual(yield* interrupt("msg_none"), 404)
    })
  )
})

describe("refusals", () => {
  it.effect("wants a key, an app, a user, a company and a version", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { id } = platform.add({ ...ada, chatId })
      const path = `/messages/${id}?chatId=${chatId}`
      for (const [name, value, status] of [
        ["authorization", undefined, 401],
        ["authorization", "Bearer other", 401],
        ["authorization", platform.apiKey, 401],
        ["x-app-id", undefined, 403],
        ["x-app-id", "app_other", 403],
        ["x-user-id", undefined, 400],
        ["x-company-id", undefined, 400],
        ["x-api-version", undefined, 400],
        ["x-api-version", "2020-01-01", 400]
      ] as const) {
        const answer = yield* ask(platform, path, { headers: { [name]: value } })
        assert.strictEqual(answer.status, status, `${name}: ${value}`)
        assert.strictEqual(answer.json().error.cause.status, status)
      }
      assert.strictEqual(yield* statusOf(ask(platform, path)), 200)
    })
  )

  it.effect("knows a message only in its chat, for its user and company", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const message = platform.add({ ...ada, chatId })
      platform.add({ ...ada, chatId: "chat_2" })
      const read = (id: string, chat: string, owner = ada) =>
        statusOf(ask(platform, `/messages/${id}?chatId=${chat}`, { owner }))
      assert.strictEqual(yield* read(message.id, chatId), 200)
      assert.strictEqual(yield* read("msg_none", chatId), 404)
      assert.strictEqual(yield* read(message.id, "chat_2"), 404)
      for (const owner of [bob, eve]) {
        assert.strictEqual(yield* read(message.id, chatId, owner), 404)
        const patch = change(platform, message.id, { chatId, text: "mine" }, { owner })
        assert.strictEqual(yield* statusOf(patch), 404)
        const body = { chatId, assistantId: "assistant_1", role: "ASSISTANT" }
        assert.strictEqual(yield* statusOf(create(platform, body, { owner })), 404)
        const list = yield* ask(platform, `/messages?chatId=${chatId}`, { owner })
        assert.deepStrictEqual(list.json().data, [])
      }
      assert.deepStrictEqual(platform.messagesOf(chatId), [message])
      platform.remove(message.id)
      assert.strictEqual(yield* read(message.id, chatId), 404)
    })
  )

  it.effect("takes no body that is not as it should be", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const message = platform.add({ ...ada, chatId })
      for (const body of [
        "{",
        "",
        "[]",
        "null",
        {},
        { chatId: null, text: "a" },
        { chatId: 1 },
        { chatId, text: 1 },
        { chatId, references: {} },
        { chatId, completedAt: "now" },
        { chatId, completedAt: "2026-01-02T03:04:05+01:00" },
        { chatId, completedAt: "2026-13-02T03:04:05Z" },
        { chatId, userAbortedAt: "2026-01-02T03:04:05Z" },
        { chatId, userAbortedAt: null },
        { chatId, toString: "a" }
      ]) {
        const status = yield* statusOf(change(platform, message.id, body))
        assert.strictEqual(status, 400, JSON.stringify(body))
      }
      const text = { headers: { "content-type": "text/plain" } }
      assert.strictEqual(yield* statusOf(change(platform, message.id, { chatId }, text)), 400)

      const body = { chatId, assistantId: "assistant_1", role: "ASSISTANT" }
      for (const wrong of [
        { role: "USER" },
        { role: null },
        { assistantId: undefined },
        { segmentIndex: -1 },
        { id: "msg_mine" }
      ]) {
        const status = yield* statusOf(create(platform, { ...body, ...wrong }))
        assert.strictEqual(status, 400, JSON.stringify(wrong))
      }
      assert.deepStrictEqual(platform.messagesOf(chatId), [message])
      assert.strictEqual(yield* statusOf(ask(platform, "/messages")), 400)
      assert.strictEqual(yield* statusOf(ask(platform, `/messages/${message.id}`)), 400)
      assert.strictEqual(yield* statusOf(ask(platform, "/messages", { method: "DELETE" })), 404)
    })
  )

  it.effect("puts its errors in each of the shapes", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const refused = () => ask(platform, `/messages/msg_1?chatId=${chatId}`)
      const message = "Message msg_1 not found"
      const nested = yield* refused()
      assert.deepStrictEqual(nested.json(), { error: { message, cause: { status: 404 } } })
      platform.errorShape = "flat"
      const flat = (yield* refused()).json()
      assert.isString(flat.error)
      assert.deepStrictEqual({ ...flat, error: "" }, { error: "", message, statusCode: 404 })
      platform.errorShape = "absent"
      const absent = yield* refused()
      assert.strictEqual(absent.status, 404)
      assert.notProperty(absent.json(), "error")
    })
  )
})

describe("Stop", () => {
  it.effect("is for the newest segment that is not completed, once", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { userMessage, assistantMessage } = platform.chatEvent({ ...ada, chatId }).payload
      const second = platform.add({ ...ada, chatId })
      const third = platform.add({ ...ada, chatId, completedAt: "2026-01-02T03:04:05Z" })
      platform.add({ ...ada, chatId, role: "USER" })

      const pressed = platform.pressStop(chatId)
      assert.strictEqual(pressed.id, second.id)
      assert.match(pressed.at, iso)
      const earlier = "2026-01-02T03:04:05.678Z"
      platform.patchState(second.id, { userAbortedAt: earlier })
      assert.deepStrictEqual(platform.pressStop(chatId), { id: second.id, at: earlier })
      platform.patchState(second.id, { userAbortedAt: pressed.at })
      const list = yield* ask(platform, `/messages?chatId=${chatId}`)
      const aborted = list
        .json()
        .data.map((message: { userAbortedAt: unknown }) => message.userAbortedAt)
      assert.deepStrictEqual(aborted, [null, null, pressed.at, null, null])

      const completedAt = new Date().toISOString()
      yield* change(platform, second.id, { chatId, completedAt })
      assert.strictEqual(platform.pressStop(chatId).id, assistantMessage.id)
      yield* change(platform, assistantMessage.id, { chatId, completedAt })
      assert.strictEqual(platform.pressStop(chatId).id, third.id)
      assert.strictEqual(platform.message(userMessage.id)?.userAbortedAt, null)
    })
  )

  it.effect("may be put on the wire malformed, and taken away", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { id } = platform.add({ ...ada, chatId })
      const path = `/messages/${id}?chatId=${chatId}`
      for (const userAbortedAt of ["", false, 0, 17]) {
        platform.patchState(id, { userAbortedAt })
        assert.strictEqual((yield* ask(platform, path)).json().userAbortedAt, userAbortedAt)
      }
      assert.match(platform.pressStop(chatId).at, iso)
      platform.patchState(id, { userAbortedAt: undefined, id: 1, chatId: null })
      const wire = (yield* ask(platform, path)).json()
      assert.notProperty(wire, "userAbortedAt")
      assert.deepStrictEqual([wire.id, wire.chatId], [1, null])
      assert.notProperty(platform.message(id), "userAbortedAt")
      assert.strictEqual(platform.pressStop(chatId).id, id)
    })
  )

  it.effect("has the time of the platform's own clock", () =>
    Effect.gen(function* () {
      const hour = 3_600_000
      const platform = yield* startPlatform({ clockOffset: -hour })
      const { id } = platform.add({ ...ada, chatId })
      const { at } = platform.pressStop(chatId)
      const answer = yield* change(platform, id, { chatId, text: "a" })
      const times = [
        at,
        answer.json().createdAt,
        answer.json().updatedAt,
        answer.headers.get("date")
      ]
      for (const time of times) {
        const behind = Date.now() - Date.parse(String(time))
        assert.isAtLeast(behind, hour)
        assert.isBelow(behind, hour + 60_000)
      }
      assert.isBelow(Date.now() - (platform.requests[0]?.at ?? 0), 60_000)
    })
  )
})

describe("troubles", () => {
  it.effect("limits one company, and says when to come back", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const lift = platform.rateLimit("company_1", {
        requests: 2,
        perMillis: 600_000,
        retryAfter: 7
      })
      const asked = (owner: typeof ada) => ask(platform, `/messages?chatId=${chatId}`, { owner })
      assert.strictEqual(yield* statusOf(asked(ada)), 200)
      assert.strictEqual(yield* statusOf(asked(bob)), 200)
      const limited = yield* asked(ada)
      assert.strictEqual(limited.status, 429)
      assert.strictEqual(limited.headers.get("retry-after"), "7")
      assert.strictEqual(limited.json().error.cause.status, 429)
      assert.strictEqual(yield* statusOf(asked(eve)), 200)
      lift()
      assert.strictEqual(yield* statusOf(asked(ada)), 200)

      const date = "Wed, 21 Oct 2026 07:28:00 GMT"
      platform.rateLimit("company_1", { requests: 0, perMillis: 1, retryAfter: date })
      assert.strictEqual((yield* asked(ada)).headers.get("retry-after"), date)
      platform.rateLimit("company_1", { requests: 0, perMillis: 1, retryAfter: undefined })
      assert.isNull((yield* asked(ada)).headers.get("retry-after"))

      // Of a time that is over as soon as it began.
      platform.rateLimit("company_1", { requests: 1, perMillis: 0, retryAfter: undefined })
      assert.strictEqual(yield* statusOf(asked(ada)), 200)
      assert.strictEqual(yield* statusOf(asked(ada)), 200)
    })
  )

  it.effect("answers what a rule says, until it is removed", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const remove = platform.respond(({ method }) =>
        method === "GET"
          ? { status: 502, headers: { "content-type": "text/html" }, body: "<html>" }
          : undefined
      )
      const asked = () => ask(platform, `/messages?chatId=${chatId}`)
      const answer = yield* asked()
      assert.deepStrictEqual([answer.status, answer.text], [502, "<html>"])
      assert.strictEqual(answer.headers.get("content-type"), "text/html")
      const body = { chatId, assistantId: "assistant_1", role: "ASSISTANT" }
      assert.strictEqual(yield* statusOf(create(platform, body)), 201)
      remove()
      assert.strictEqual(yield* statusOf(asked()), 200)
    })
  )

  it.effect("hangs, resets, and loses the answer to what it did", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { id } = platform.add({ ...ada, chatId })
      const write = (text: string) => change(platform, id, { chatId, text })
      const ended = (index: number) => platform.requests[index]?.over ?? Effect.die("no request")

      const calm = platform.respond(() => "reset")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(write("a"))))
      assert.strictEqual(yield* ended(0), "broken")
      assert.strictEqual(platform.message(id)?.text, "")
      calm()

      const found = platform.respond(() => "loseAnswer")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(write("b"))))
      assert.strictEqual(yield* ended(1), "broken")
      assert.strictEqual(platform.message(id)?.text, "b")
      found()

      platform.respond(() => "hang")
      const hanging = yield* Effect.forkChild(write("c"))
      const request = yield* platform.received(({ body }) => JSON.stringify(body).includes(`"c"`))
      assert.strictEqual(request.status, undefined)
      yield* Fiber.interrupt(hanging)
      assert.strictEqual(yield* request.over, "left")
      assert.strictEqual(platform.message(id)?.text, "b")
    })
  )

  it.effect("takes its time to answer what it did at once", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform({ latency: 600_000 })
      const { id } = platform.add({ ...ada, chatId })
      const slow = yield* Effect.forkChild(change(platform, id, { chatId, text: "a" }))
      const request = yield* platform.received(() => true)
      assert.strictEqual(platform.message(id)?.text, "a")
      assert.strictEqual(request.status, undefined)
      platform.latency = ({ method }) => (method === "GET" ? 1 : 600_000)
      assert.strictEqual(yield* statusOf(ask(platform, `/messages?chatId=${chatId}`)), 200)
      yield* Fiber.interrupt(slow)
      assert.strictEqual(yield* request.over, "left")
    })
  )

  it.effect("ends every connection at once when its scope closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const platform = yield* Scope.provide(startPlatform(), scope)
      platform.respond(({ query }) => (query["chatId"] === "slow" ? "hang" : undefined))
      yield* ask(platform, "/messages?chatId=fast")
      const hanging = yield* Effect.forkChild(ask(platform, "/messages?chatId=slow"))
      const request = yield* platform.received(({ query }) => query["chatId"] === "slow")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(hanging)))
      assert.strictEqual(yield* request.over, "left")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ask(platform, "/messages?chatId=fast"))))
    })
  )
})

describe("what a test watches", () => {
  it.effect("keeps every request with its answer's status", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { id } = platform.add({ ...ada, chatId })
      const waiting = yield* Effect.forkChild(
        platform.received(({ status }) => status === 404),
        {
          startImmediately: true
        }
      )
      yield* change(platform, id, { chatId, text: "a" })
      yield* ask(platform, "/messages/a%20b?chatId=c%26d")
      const [patch, get] = platform.requests
      assert.deepStrictEqual(
        [patch?.method, patch?.path, patch?.query, patch?.body, patch?.status],
        ["PATCH", `/public/chat-gen2/messages/${id}`, {}, { chatId, text: "a" }, 200]
      )
      assert.deepStrictEqual(
        [get?.method, get?.path, get?.query, get?.body, get?.status],
        ["GET", "/public/chat-gen2/messages/a%20b", { chatId: "c&d" }, undefined, 404]
      )
      assert.strictEqual(get?.headers["x-user-id"], ada.userId)
      assert.strictEqual(yield* Fiber.join(waiting), get)
      assert.strictEqual(yield* platform.received(({ method }) => method === "PATCH"), patch)
      platform.clear()
      assert.deepStrictEqual(platform.requests, [])
    })
  )

  it.effect("counts connections, and requests at once", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const read = (chat: string) => ask(platform, `/messages?chatId=${chat}`)
      const agent = yield* Effect.acquireRelease(
        Effect.sync(() => new Agent({ keepAlive: true, maxSockets: 1 })),
        (agent) => Effect.sync(() => agent.destroy())
      )
      const readKeptAlive = Effect.callback<void>((resume) => {
        get(`${platform.baseUrl}/messages`, { agent }, (response) => {
          response.resume().on("end", () => resume(Effect.void))
        })
      })
      yield* readKeptAlive
      yield* readKeptAlive
      assert.deepStrictEqual([platform.connections, platform.maxConcurrent], [1, 1])
      platform.clear()
      yield* readKeptAlive
      assert.deepStrictEqual([platform.connections, platform.openConnections], [0, 1])
      agent.destroy()

      const calm = platform.respond(() => "hang")
      const hanging = yield* Effect.forkChild(
        Effect.all(["a", "b", "c"].map(read), { concurrency: "unbounded" })
      )
      for (const chat of ["a", "b", "c"]) {
        yield* platform.received(({ query }) => query["chatId"] === chat)
      }
      assert.deepStrictEqual([platform.connections, platform.maxConcurrent], [3, 3])
      const left = platform.requests.slice(1).map(({ over }) => over)
      calm()
      yield* Fiber.interrupt(hanging)
      assert.deepStrictEqual(yield* Effect.all(left), ["left", "left", "left"])
      platform.clear()
      assert.strictEqual(platform.maxConcurrent, 0)
    })
  )
})

describe("the webhook", () => {
  interface Delivered {
    readonly headers: IncomingHttpHeaders
    readonly raw: string
  }

  const agent = Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly got: Array<Delivered>; close: () => void }>(
      (resume) => {
        const got: Array<Delivered> = []
        const server = createServer((request, response) => {
          let raw = ""
          request.setEncoding("utf8")
          request.on("data", (piece: string) => {
            raw += piece
          })
          request.on("end", () => {
            got.push({ headers: request.headers, raw })
            response.writeHead(202).end("started")
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          const close = () => {
            server.close()
            server.closeAllConnections()
          }
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}/hook`, got, close }))
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

  it.effect("tells of a user's message and of the empty one for the answer", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const event = platform.chatEvent({ ...ada, chatId, text: "How much?" })
      const [user, assistant] = platform.messagesOf(chatId)
      assert.strictEqual(event.event, "unique.chat.external-module.chosen")
      assert.deepStrictEqual([event.companyId, event.userId], [ada.companyId, ada.userId])
      assert.strictEqual(event.payload.chatId, chatId)
      assert.deepStrictEqual(
        [user?.id, user?.role, user?.text, user?.createdAt],
        [event.payload.userMessage.id, "USER", "How much?", event.payload.userMessage.createdAt]
      )
      assert.deepStrictEqual(
        [assistant?.id, assistant?.role, assistant?.text, assistant?.completedAt],
        [event.payload.assistantMessage.id, "ASSISTANT", "", null]
      )
    })
  )

  it.effect("signs the raw body alone, at its own time", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform({ clockOffset: 1_000_000 })
      const { url, got } = yield* agent
      const event = platform.chatEvent({ ...ada, chatId, text: "é" })
      const answer = yield* platform.deliver(url, event, { secret: "s" })
      assert.deepStrictEqual(answer, { status: 202, body: "started" })
      const { headers, raw } = got[0] ?? assert.fail("nothing was delivered")
      assert.deepStrictEqual(JSON.parse(raw), event)
      const signature = createHmac("sha256", "s").update(raw).digest("hex")
      assert.strictEqual(headers["x-unique-signature"], signature)
      const age = Date.now() / 1000 + 1_000 - Number(headers["x-unique-created-at"])
      assert.isTrue(age >= 0 && age < 60, `${age}`)
      assert.match(String(headers["x-unique-created-at"]), /^\d+$/)
    })
  )

  it.effect("sends other headers, none, and any text", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { url, got } = yield* agent
      yield* platform.deliver(url, "{", { secret: "s", createdAt: 17, signature: "00" })
      yield* platform.deliver(url, "{", { secret: "s", createdAt: null, signature: null })
      const [first, second] = got
      assert.strictEqual(first?.raw, "{")
      assert.strictEqual(first?.headers["x-unique-created-at"], "17")
      assert.strictEqual(first?.headers["x-unique-signature"], "00")
      assert.notProperty(second?.headers, "x-unique-created-at")
      assert.notProperty(second?.headers, "x-unique-signature")
    })
  )
})
