// Messages that are made on the platform: under which name, in which turn, and never left open.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { FetchHttpClient, HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { InvalidSetting, MessageContent } from "effect-cancellation"
import { reachableText } from "../../promise/test/support/reachable.ts"
import { UniquePlatform } from "../src/index.ts"
import {
  ada,
  assistantId,
  chatId,
  iso,
  json,
  newMessage,
  open,
  openOn,
  overheard,
  page,
  reasonOf,
  refOf,
  type Request
} from "./content.fixture.ts"
import { type Platform, startPlatform } from "./support/PlatformServer.ts"

const isPost = ({ method }: Request) => method === "POST"
const isPatch = ({ method }: Request) => method === "PATCH"
const completes = ({ body, method }: Request) =>
  method === "PATCH" && typeof body === "object" && body !== null && "completedAt" in body

/** The one assistant message of the chat that was not there before. */
const onlyNew = (platform: Platform, ...known: ReadonlyArray<string>) => {
  const messages = platform.messagesOf(chatId).filter(({ id }) => !known.includes(id))
  assert.strictEqual(messages.length, 1)
  return messages[0] ?? assert.fail("there is none")
}

describe("a new message", () => {
  it.effect("is named by the platform, and has what it is given", () =>
    Effect.gen(function* () {
      const { bodies, calls, content, id, platform } = yield* open()
      const fields = {
        text: "so far",
        references: [{ name: "a" }],
        debugInfo: { steps: 2 },
        segmentKind: "answer"
      }
      const message = yield* content.create(newMessage(fields))
      const made = onlyNew(platform, id)
      assert.strictEqual(message.ref.messageId, made.id)
      assert.notStrictEqual(made.id, "wished")
      assert.deepInclude({ ...message }, fields)
      assert.deepStrictEqual(message.ref, refOf(made.id))
      assert.strictEqual(calls(), "POST")
      assert.deepStrictEqual(bodies("POST"), [
        { chatId, assistantId, role: "ASSISTANT", ...fields }
      ])
    })
  )

  it.effect("is empty and open unless told, and never there already", () =>
    Effect.gen(function* () {
      const { bodies, content } = yield* open()
      const first = yield* content.create(newMessage())
      const second = yield* content.create(newMessage())
      assert.notStrictEqual(first.ref.messageId, second.ref.messageId)
      assert.deepStrictEqual([first.text, first.completedAt], ["", undefined])
      const body = { chatId, assistantId, role: "ASSISTANT", text: "" }
      assert.deepStrictEqual(bodies("POST"), [body, body])
    })
  )

  it.effect("is complete from the start if told", () =>
    Effect.gen(function* () {
      const { calls, content, id, platform } = yield* open()
      const message = yield* content.create(newMessage({ setCompletedAt: true }))
      const { completedAt } = onlyNew(platform, id)
      assert.match(String(completedAt), iso)
      assert.strictEqual(message.completedAt, Date.parse(String(completedAt)))
      assert.strictEqual(calls(), "POST")
    })
  )

  it.effect("has its originalText, and is complete, by a change afterwards", () =>
    Effect.gen(function* () {
      const { bodies, content, calls, id, platform } = yield* open()
      const message = yield* content.create(
        newMessage({ text: "a", originalText: "b", setCompletedAt: true })
      )
      const made = onlyNew(platform, id)
      assert.strictEqual(calls(), "POST PATCH")
      assert.notProperty(bodies("POST")[0], "completedAt")
      assert.deepStrictEqual(bodies(), [
        { chatId, originalText: "b", completedAt: made.completedAt }
      ])
      assert.deepStrictEqual(
        [message.text, message.originalText, message.completedAt],
        ["a", "b", Date.parse(String(made.completedAt))]
      )
      platform.clear()
      yield* content.create(newMessage({ originalText: "" }))
      assert.deepStrictEqual(bodies(), [{ chatId, originalText: "" }])
    })
  )

  it.effect("of a person or the system is none of an app's, and nothing is sent", () =>
    Effect.gen(function* () {
      const { calls, content } = yield* open()
      for (const role of ["user", "system"] as const) {
        const reason = yield* reasonOf(content.create(newMessage({ role, setCompletedAt: true })))
        assert.strictEqual(reason._tag, "Unsupported")
        assert.include(reason.message, "an app makes its own only")
        assert.include(reason.message, role)
      }
      assert.strictEqual(calls(), "")
    })
  )

  it.effect("without an assistant cannot be made, which says what to do", () =>
    Effect.gen(function* () {
      const { calls, content, id, unique } = yield* open({})
      const reason = yield* reasonOf(content.create(newMessage()))
      assert.strictEqual(reason._tag, "Unsupported")
      assert.include(reason.message, "assistantId")
      assert.strictEqual(calls(), "")
      const ofTurn = unique.contentOf({ assistantId: "of the event", messageId: id })
      yield* ofTurn.create(newMessage())
      assert.strictEqual(calls(), "GET POST")
    })
  )

  it.effect("of an assistant without a name is a setting that cannot work", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(open({ assistantId: " " }))
      const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason) : undefined
      assert.instanceOf(defect?.defect, InvalidSetting)
      assert.include(String(defect?.defect), "assistantId")
    })
  )

  it.effect("with a null is refused before anything is sent", () =>
    Effect.gen(function* () {
      const { calls, content } = yield* open()
      for (const fields of [{ references: null }, { debugInfo: null }]) {
        const reason = yield* reasonOf(content.create(newMessage(fields)))
        assert.strictEqual(reason._tag, "UnstorableText")
      }
      assert.strictEqual(calls(), "")
    })
  )

  for (const [title, trouble, tag] of [
    ["400", json(400, { message: "no" }), "UnstorableText"],
    ["413", json(413, { message: "no" }), "UnstorableText"],
    ["401", json(401, { message: "no" }), "ContentUnavailable"],
    ["403", json(403, { message: "no" }), "ContentUnavailable"],
    // Of a chat, not of a message.
    ["404", json(404, { message: "no" }), "ContentUnavailable"],
    ["429", json(429, { message: "no" }), "ContentUnavailable"],
    ["503", json(503, { message: "no" }), "ContentUnavailable"],
    ["201 and nothing", { status: 201, body: "" }, "ContentUnavailable"],
    ["201 and a page", { ...page, status: 201 }, "ContentUnavailable"],
    ["201 and no message", json(201, { chatId }), "ContentUnavailable"],
    ["201 and an id that is none", json(201, { id: 'a"b', chatId }), "ContentUnavailable"],
    ["201 of another chat", json(201, { id: "msg_1", chatId: "chat_2" }), "ContentUnavailable"]
  ] as const) {
    it.effect(`that is answered ${title} fails as ${tag}`, () =>
      Effect.gen(function* () {
        const { content, platform, troubled } = yield* open()
        troubled("POST", trouble)
        const failed = yield* overheard(reasonOf(content.create(newMessage({ text: "hush hush" }))))
        assert.strictEqual(Exit.isSuccess(failed.exit) && failed.exit.value._tag, tag)
        const said = reachableText(failed)
        for (const secret of ["hush", platform.apiKey, platform.appId]) {
          assert.notInclude(said, secret)
        }
      })
    )
  }

  it.effect("that is refused in words that repeat its text has not those words", () =>
    Effect.gen(function* () {
      const { content, troubled } = yield* open()
      troubled("POST", json(400, { message: "text 'hush hush' is no text" }))
      const failed = yield* overheard(content.create(newMessage({ text: "hush hush" })))
      assert.isTrue(Exit.isFailure(failed.exit))
      assert.include(reachableText(failed), "The platform answered 400")
      assert.notInclude(reachableText(failed), "hush")
    })
  )
})

describe("a new message of a turn", () => {
  const turn = { responseTurnId: "turn_1" }
  const places = (bodies: ReadonlyArray<Readonly<Record<string, unknown>>>) =>
    bodies.map(({ responseTurnId, segmentIndex }) => [responseTurnId, segmentIndex])

  const openTurn = (fields: Readonly<Record<string, unknown>> = { ...turn, segmentIndex: 0 }) =>
    Effect.map(open(), (opened) => {
      opened.platform.patchState(opened.id, fields)
      const ofTurn = opened.unique.contentOf({ assistantId: "assistant_2", messageId: opened.id })
      return { ...opened, ofTurn }
    })

  it.effect("is its next segment, by the assistant of the turn", () =>
    Effect.gen(function* () {
      const { bodies, calls, ofTurn } = yield* openTurn()
      const fields = { text: "Next", segmentKind: "answer" }
      yield* ofTurn.create(newMessage(fields))
      yield* ofTurn.create(newMessage())
      assert.strictEqual(calls(), "GET POST GET POST")
      assert.deepStrictEqual(bodies("POST")[0], {
        chatId,
        assistantId: "assistant_2",
        role: "ASSISTANT",
        ...fields,
        ...turn,
        segmentIndex: 1
      })
      assert.deepStrictEqual(places(bodies("POST")), [
        ["turn_1", 1],
        ["turn_1", 2]
      ])
    })
  )

  it.effect("follows the one that is being made at the same time", () =>
    Effect.gen(function* () {
      const { bodies, ofTurn } = yield* openTurn()
      const make = ofTurn.create(newMessage())
      yield* Effect.all([make, make, make], { concurrency: "unbounded" })
      assert.deepStrictEqual(places(bodies("POST")), [
        ["turn_1", 1],
        ["turn_1", 2],
        ["turn_1", 3]
      ])
    })
  )

  it.effect("follows the last of the turn, whatever else there is in the chat", () =>
    Effect.gen(function* () {
      const { bodies, ofTurn, platform } = yield* openTurn()
      platform.add({ ...ada, chatId, ...turn, segmentIndex: 6 })
      platform.add({ ...ada, chatId, ...turn, segmentIndex: 4 })
      platform.add({ ...ada, chatId, ...turn })
      platform.add({ ...ada, chatId, responseTurnId: "turn_2", segmentIndex: 20 })
      platform.add({ ...ada, chatId, ...turn, role: "USER", segmentIndex: 30 })
      platform.add({ ...ada, userId: "user_bob", chatId, ...turn, segmentIndex: 40 })
      const odd = platform.add({ ...ada, chatId, ...turn })
      platform.patchState(odd.id, { segmentIndex: "50" })
      yield* ofTurn.create(newMessage())
      assert.deepStrictEqual(places(bodies("POST")), [["turn_1", 7]])
    })
  )

  it.effect("follows a first one that does not say where it stands", () =>
    Effect.gen(function* () {
      const { bodies, ofTurn } = yield* openTurn(turn)
      yield* ofTurn.create(newMessage())
      assert.deepStrictEqual(places(bodies("POST")), [["turn_1", 1]])
    })
  )

  it.effect("follows a first one that does not say whose it is", () =>
    Effect.gen(function* () {
      const { bodies, id, ofTurn, platform } = yield* openTurn()
      platform.patchState(id, { role: undefined })
      yield* ofTurn.create(newMessage())
      assert.deepStrictEqual(places(bodies("POST")), [["turn_1", 1]])
    })
  )

  it.effect("is by itself if the message says nothing of a turn, or is not there", () =>
    Effect.gen(function* () {
      const { bodies, content: _, ofTurn, platform, id } = yield* openTurn({})
      yield* ofTurn.create(newMessage())
      platform.patchState(id, { responseTurnId: null })
      yield* ofTurn.create(newMessage())
      platform.remove(id)
      yield* ofTurn.create(newMessage())
      for (const body of bodies("POST")) {
        assert.notProperty(body, "responseTurnId")
        assert.notProperty(body, "segmentIndex")
      }
    })
  )

  it.effect("is not made if the chat cannot be read", () =>
    Effect.gen(function* () {
      const { calls, ofTurn, troubled } = yield* openTurn()
      troubled("GET", page)
      assert.strictEqual((yield* reasonOf(ofTurn.create(newMessage())))._tag, "ContentUnavailable")
      assert.strictEqual(calls(), "GET")
    })
  )

  it.effect("is not made for who has left before it was asked for", () =>
    Effect.gen(function* () {
      const { calls, ofTurn, platform, troubled } = yield* openTurn()
      const calm = troubled("GET", "hang")
      const fiber = yield* Effect.forkChild(ofTurn.create(newMessage()))
      const request = yield* platform.received(({ method }) => method === "GET")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* request.over, "left")
      calm()
      // Whatever was still under way would have its turn before this.
      yield* ofTurn.find(newMessage().ref)
      assert.notInclude(calls(), "POST")
    })
  )
})

/** The ports over a connection that keeps the answer to a new message until it is told to pass it on. */
const openHeld = Effect.fnUntraced(function* () {
  yield* TestClock.setTime(Date.now())
  const platform = yield* startPlatform()
  const answered = yield* Deferred.make<void>()
  const pass = yield* Deferred.make<void>()
  const client = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(
      HttpClient.HttpClient,
      HttpClient.transform((answer, { method }) =>
        method === "POST"
          ? Effect.tap(answer, () =>
              Effect.andThen(Deferred.succeed(answered, undefined), Deferred.await(pass))
            )
          : answer
      )
    )
  ).pipe(Layer.provide(FetchHttpClient.layer))
  const context = yield* Layer.build(
    Layer.fresh(
      UniquePlatform.layer({
        apiKey: Redacted.make(platform.apiKey),
        appId: Redacted.make(platform.appId),
        baseUrl: platform.baseUrl,
        assistantId
      }).pipe(Layer.provide(client))
    )
  )
  return {
    platform,
    content: Context.get(context, MessageContent),
    answered: Deferred.await(answered),
    pass: Deferred.succeed(pass, undefined)
  }
})

describe("a new message is not left open", () => {
  for (const [title, leave] of [
    ["is interrupted", (fiber: Fiber.Fiber<unknown, unknown>) => Fiber.interrupt(fiber)],
    ["takes it for lost", () => TestClock.adjust("5 seconds")]
  ] as const) {
    it.effect(`by who ${title} before its answer`, () =>
      Effect.gen(function* () {
        const { answered, content, pass, platform } = yield* openHeld()
        const fiber = yield* Effect.forkChild(
          Effect.timeout(content.create(newMessage({ text: "a" })), "5 seconds")
        )
        yield* answered
        yield* leave(fiber)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
        assert.isNull(onlyNew(platform).completedAt)
        yield* pass
        yield* platform.received(completes)
        const made = onlyNew(platform)
        assert.deepStrictEqual([made.text, made.completedAt !== null], ["a", true])
      })
    )
  }

  it.effect("by who is interrupted while its originalText is stored", () =>
    Effect.gen(function* () {
      const { content, id, platform } = yield* open()
      let hung = 0
      platform.respond(({ method }) => (method === "PATCH" && hung++ === 0 ? "hang" : undefined))
      const fiber = yield* Effect.forkChild(content.create(newMessage({ originalText: "b" })))
      const request = yield* platform.received(isPatch)
      yield* Fiber.interrupt(fiber)
      assert.isUndefined(request.status)
      // It has ten seconds to be stored, then the message ends without it.
      yield* TestClock.adjust("10 seconds")
      yield* platform.received(completes)
      assert.isNotNull(onlyNew(platform, id).completedAt)
      assert.strictEqual(yield* request.over, "left")
    })
  )

  for (const [title, trouble, tag] of [
    ["refused", json(400, { message: "no" }), "UnstorableText"],
    ["not answered well", page, "ContentUnavailable"],
    ["not stored", json(500, { message: "no" }), "ContentUnavailable"]
  ] as const) {
    it.effect(`if its originalText is ${title}`, () =>
      Effect.gen(function* () {
        const { content, id, platform } = yield* open()
        platform.respond((request) =>
          isPatch(request) && !completes(request) ? trouble : undefined
        )
        const reason = yield* reasonOf(content.create(newMessage({ text: "a", originalText: "b" })))
        assert.strictEqual(reason._tag, tag)
        yield* platform.received(completes)
        const made = onlyNew(platform, id)
        assert.deepStrictEqual([made.text, made.originalText], ["a", null])
        assert.isNotNull(made.completedAt)
      })
    )
  }

  it.effect("if its originalText is not stored in time", () =>
    Effect.gen(function* () {
      const { content, id, platform } = yield* open({ assistantId, writeTimeout: "3 seconds" })
      platform.respond((request) => (isPatch(request) && !completes(request) ? "hang" : undefined))
      const fiber = yield* Effect.forkChild(
        reasonOf(content.create(newMessage({ originalText: "b" })))
      )
      yield* platform.received(isPatch)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "ContentUnavailable")
      yield* platform.received(completes)
      assert.isNotNull(onlyNew(platform, id).completedAt)
    })
  )

  it.effect("twice: it is complete already if its answer says so", () =>
    Effect.gen(function* () {
      const { answered, content, pass, platform } = yield* openHeld()
      const fiber = yield* Effect.forkChild(content.create(newMessage({ setCompletedAt: true })))
      yield* answered
      yield* Fiber.interrupt(fiber)
      yield* pass
      // Whatever was still under way would have its turn before this.
      yield* content.find(newMessage().ref)
      assert.deepStrictEqual(
        platform.requests.map(({ method }) => method),
        ["POST", "GET"]
      )
    })
  )
})

describe("a new message that gets no answer", () => {
  it.effect("is given up after writeTimeout, its connection too", () =>
    Effect.gen(function* () {
      const { content, platform, troubled } = yield* open({
        assistantId,
        writeTimeout: "3 seconds"
      })
      troubled("POST", "hang")
      const fiber = yield* Effect.forkChild(reasonOf(content.create(newMessage())))
      const request = yield* platform.received(isPost)
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const reason = yield* Fiber.join(fiber)
      assert.strictEqual(reason._tag, "ContentUnavailable")
      assert.include(reason.message, "3s")
      assert.strictEqual(yield* request.over, "left")
    })
  )

  for (const who of ["waits for it", "has left it"] as const) {
    it.effect(`does not keep a layer from closing, and whoever ${who} from ending`, () =>
      Effect.gen(function* () {
        const { platform, troubled } = yield* open()
        troubled("POST", "hang")
        const { fiber, request } = yield* Effect.scoped(
          Effect.gen(function* () {
            const { content } = yield* openOn(platform)
            const fiber = yield* Effect.forkDetach(content.create(newMessage()))
            const request = yield* platform.received(isPost)
            if (who === "has left it") yield* Fiber.interrupt(fiber)
            return { fiber, request }
          })
        )
        assert.strictEqual(yield* request.over, "left")
        assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
        assert.strictEqual(platform.requests.filter(isPost).length, 1)
      })
    )
  }
})
