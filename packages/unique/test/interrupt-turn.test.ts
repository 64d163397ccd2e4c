// Telling the platform that the system has cut a turn short.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { ChatId } from "effect-cancellation"
import { UniqueError } from "../src/index.ts"
import { ada, chatId, iso, json, open, page, refOf } from "./content.fixture.ts"

const { companyId, userId } = refOf("any")

const openTurn = Effect.fnUntraced(function* (settings?: Parameters<typeof open>[0]) {
  const opened = yield* open(settings)
  const { payload } = opened.platform.chatEvent({ ...ada, chatId })
  const userMessageId = payload.userMessage.id
  const interrupt = (id: string = userMessageId) =>
    opened.unique.interruptTurn({
      chatId: ChatId.make(chatId),
      userMessageId: id,
      ...(companyId === undefined ? {} : { companyId }),
      ...(userId === undefined ? {} : { userId })
    })
  return { ...opened, payload, userMessageId, interrupt }
})

describe("interruptTurn", () => {
  it.effect("tells the platform, once or twice", () =>
    Effect.gen(function* () {
      const { interrupt, platform, userMessageId } = yield* openTurn()
      assert.isUndefined(platform.interruptedAt(userMessageId))
      yield* interrupt()
      const at = platform.interruptedAt(userMessageId)
      assert.match(String(at), iso)
      yield* interrupt()
      assert.strictEqual(platform.interruptedAt(userMessageId), at)
      for (const request of platform.requests) {
        const { body, headers, method, path } = request
        assert.strictEqual(
          `${method} ${path}`,
          `POST /public/chat-gen2/messages/${userMessageId}/turn-interruption`
        )
        assert.deepStrictEqual(body, { chatId, reason: "SYSTEM_INTERRUPTED" })
        assert.strictEqual(headers["x-company-id"], ada.companyId)
        assert.strictEqual(headers["x-user-id"], ada.userId)
      }
      assert.strictEqual(platform.requests.length, 2)
    })
  )

  it.effect("leaves a stop of the person's as it is", () =>
    Effect.gen(function* () {
      const { interrupt, payload, platform, userMessageId } = yield* openTurn()
      const { at } = platform.stopMessage(payload.assistantMessage.id)
      yield* interrupt()
      assert.isUndefined(platform.interruptedAt(userMessageId))
      assert.strictEqual(platform.message(payload.assistantMessage.id)?.userAbortedAt, at)
    })
  )

  it.effect("is content with an answer that says nothing", () =>
    Effect.gen(function* () {
      const { interrupt, troubled } = yield* openTurn()
      for (const answer of [
        { status: 204, body: "" },
        { status: 200, body: "" }
      ]) {
        const calm = troubled("POST", answer)
        yield* interrupt()
        calm()
      }
    })
  )

  for (const [title, trouble, tag] of [
    ["400", json(400, { message: "no" }), "InvalidRequest"],
    ["401", json(401, { message: "no" }), "AuthenticationError"],
    ["403", json(403, { message: "no" }), "AuthorizationError"],
    ["404", json(404, { message: "no" }), "NotFound"],
    ["404 of a proxy", { ...page, status: 404 }, "OddAnswer"],
    ["429", json(429, { message: "no" }), "RateLimited"],
    ["500", json(500, { message: "no" }), "Failed"],
    ["302", { status: 302, body: "" }, "OddAnswer"],
    ["nothing, and a connection that is reset", "reset", "NoAnswer"]
  ] as const) {
    it.effect(`fails as ${tag} if it is answered ${title}`, () =>
      Effect.gen(function* () {
        const { interrupt, platform, troubled } = yield* openTurn()
        troubled("POST", trouble)
        const error = yield* Effect.flip(interrupt())
        assert.instanceOf(error, UniqueError)
        assert.strictEqual(error.reason._tag, tag)
        assert.notInclude(error.message, platform.apiKey)
      })
    )
  }

  it.effect("fails for a message that is not there, or not the person's", () =>
    Effect.gen(function* () {
      const { interrupt, payload } = yield* openTurn()
      const missing = yield* Effect.flip(interrupt("nobody"))
      assert.strictEqual(missing.reason._tag, "NotFound")
      const foreign = yield* Effect.flip(interrupt(payload.assistantMessage.id))
      assert.strictEqual(foreign.reason._tag, "InvalidRequest")
    })
  )

  it.effect("asks nothing about an id that no message can have", () =>
    Effect.gen(function* () {
      const { calls, interrupt } = yield* openTurn()
      for (const id of ["", ".", "..", "\uD800", 'a"b', "a\u0000b", "a\nb", "a".repeat(256)]) {
        const error = yield* Effect.flip(interrupt(id))
        assert.strictEqual(error.reason._tag, "InvalidRequest", JSON.stringify(id))
        assert.isUndefined(error.status)
      }
      assert.strictEqual(calls(), "")
    })
  )

  it.effect("names a message with signs of a URL in its id as it is", () =>
    Effect.gen(function* () {
      const { interrupt, platform } = yield* openTurn()
      const id = "a/b?c=d#e%2F ü"
      platform.add({ ...ada, chatId, id, role: "USER" })
      yield* interrupt(id)
      assert.match(String(platform.interruptedAt(id)), iso)
    })
  )

  it.effect("is given up after writeTimeout, its connection too", () =>
    Effect.gen(function* () {
      const { interrupt, platform, troubled } = yield* openTurn({ writeTimeout: "3 seconds" })
      troubled("POST", "hang")
      const fiber = yield* Effect.forkChild(Effect.flip(interrupt()))
      const request = yield* platform.received(({ method }) => method === "POST")
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag, "NoAnswer")
      assert.include(error.message, "3s")
      assert.strictEqual(yield* request.over, "left")
    })
  )

  it.effect("ends with an interrupt, its connection too", () =>
    Effect.gen(function* () {
      const { interrupt, platform, troubled } = yield* openTurn()
      troubled("POST", "hang")
      const fiber = yield* Effect.forkChild(interrupt())
      const request = yield* platform.received(({ method }) => method === "POST")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* request.over, "left")
    })
  )
})
