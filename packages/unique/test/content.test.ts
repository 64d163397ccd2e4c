// Changes of messages on the platform: what is sent, what is refused, and what is said of it.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { MessageRef } from "effect-cancellation"
import { reachableText } from "../../promise/test/support/reachable.ts"
import {
  ada,
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
  type Request,
  type Trouble
} from "./content.fixture.ts"

describe("a change", () => {
  it.effect("reads the message, then sends only what is to change, and answers what is there", () =>
    Effect.gen(function* () {
      const { bodies, calls, change, id, platform } = yield* open()
      const fields = {
        originalText: "said",
        references: [{ name: "a" }],
        debugInfo: { steps: 2 },
        segmentKind: "answer"
      }
      for (const [key, value] of Object.entries({ text: "so far", ...fields })) {
        platform.clear()
        yield* change(id, { [key]: value })
        assert.strictEqual(calls(), "GET PATCH")
        assert.deepStrictEqual(bodies(), [{ chatId, [key]: value }])
      }
      platform.clear()
      const message = yield* change(id, { text: "", debugInfo: 0 })
      assert.deepStrictEqual(bodies(), [{ chatId, text: "", debugInfo: 0 }])
      const { createdAt, updatedAt, ...rest } = message
      const wire = platform.message(id)
      assert.deepStrictEqual(
        { ...rest },
        { ...fields, ref: refOf(id), role: "assistant", text: "", debugInfo: 0 }
      )
      assert.deepStrictEqual(
        [new Date(createdAt).toISOString(), new Date(updatedAt).toISOString()],
        [wire?.createdAt, wire?.updatedAt]
      )
      const [get, patch] = platform.requests
      for (const request of [get, patch]) {
        assert.strictEqual(request?.path, `/public/chat-gen2/messages/${id}`)
        assert.strictEqual(request?.headers["x-company-id"], ada.companyId)
        assert.strictEqual(request?.headers["x-user-id"], ada.userId)
      }
      assert.deepStrictEqual(get?.query, { chatId })
    })
  )

  it.effect("of nothing sends nothing, and answers what is there", () =>
    Effect.gen(function* () {
      const { calls, change, id } = yield* open()
      assert.strictEqual((yield* change(id, {})).text, "before")
      assert.strictEqual(calls(), "GET")
    })
  )

  it.effect("sets stoppedStreamingAt and completedAt once, by this process's clock", () =>
    Effect.gen(function* () {
      const { bodies, calls, change, id, platform } = yield* open()
      const stopped = yield* change(id, { setStoppedStreamingAt: true, text: "a" })
      const first = platform.message(id)?.stoppedStreamingAt
      assert.match(String(first), iso)
      assert.strictEqual(stopped.stoppedStreamingAt, Date.parse(String(first)))
      yield* TestClock.adjust("1 minute")
      yield* change(id, { setStoppedStreamingAt: true, text: "b" })
      assert.deepStrictEqual(bodies(), [
        { chatId, stoppedStreamingAt: first, text: "a" },
        { chatId, text: "b" }
      ])
      platform.clear()
      yield* change(id, { setStoppedStreamingAt: true })
      assert.strictEqual(calls(), "GET")
      const completed = yield* change(id, { setStoppedStreamingAt: true, setCompletedAt: true })
      const { completedAt, stoppedStreamingAt } = platform.message(id) ?? assert.fail("it is gone")
      assert.deepStrictEqual(bodies(), [{ chatId, completedAt }])
      assert.strictEqual(completed.completedAt, Date.parse(String(completedAt)))
      assert.strictEqual(stoppedStreamingAt, first)
    })
  )

  it.effect("sets no time for a false", () =>
    Effect.gen(function* () {
      const { bodies, change, id } = yield* open()
      yield* change(id, { setCompletedAt: false, setStoppedStreamingAt: false, text: "a" })
      assert.deepStrictEqual(bodies(), [{ chatId, text: "a" }])
    })
  )

  it.effect("after completion is refused, whoever completed it, and not sent", () =>
    Effect.gen(function* () {
      const { calls, change, id, platform } = yield* open()
      const completedAt = "2026-01-02T03:04:05.678Z"
      platform.patchState(id, { completedAt })
      for (const fields of [{ text: "late" }, { setCompletedAt: true }, {}]) {
        platform.clear()
        const reason = yield* reasonOf(change(id, fields))
        assert.strictEqual(reason._tag, "AlreadyCompleted")
        assert.deepInclude(reason, { messageId: id, completedAt: Date.parse(completedAt) })
        assert.strictEqual(calls(), "GET")
      }
      assert.strictEqual(platform.message(id)?.completedAt, completedAt)
      assert.strictEqual(platform.message(id)?.text, "before")
    })
  )

  for (const seam of ["one layer", "two contents of one layer"] as const) {
    it.effect(`by two writers of ${seam} is completed by one, and the other is refused`, () =>
      Effect.gen(function* () {
        const { bodies, content, id, unique } = yield* open()
        const other =
          seam === "one layer" ? content : unique.contentOf({ assistantId: "a", messageId: id })
        const complete = (by: typeof content, text: string) =>
          Effect.exit(by.modify({ ref: refOf(id), text, setCompletedAt: true }))
        const exits = yield* Effect.all([complete(content, "one"), complete(other, "other")], {
          concurrency: "unbounded"
        })
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        const lost = exits.find(Exit.isFailure)
        assert.include(reachableText(lost), "AlreadyCompleted")
        assert.strictEqual(bodies().length, 1)
      })
    )
  }

  it.effect("waits only for those of the same message", () =>
    Effect.gen(function* () {
      const { change, id, platform } = yield* open()
      const other = platform.add({ ...ada, chatId })
      platform.respond(({ path }) => (path.endsWith(id) ? "hang" : undefined))
      const hanging = yield* Effect.forkChild(change(id, { text: "a" }))
      yield* platform.received(({ path }) => path.endsWith(id))
      assert.strictEqual((yield* change(other.id, { text: "b" })).text, "b")
      yield* Fiber.interrupt(hanging)
    })
  )
})

describe("a change is refused", () => {
  it.effect("for a message that is not there, or somebody else's, or of another chat", () =>
    Effect.gen(function* () {
      const { calls, change, content, id, platform } = yield* open()
      for (const ref of [
        refOf("nobody"),
        refOf(".."),
        refOf(id, { ...ada, userId: "user_bob" }),
        refOf(id, { ...ada, companyId: "company_2" }),
        MessageRef.of({ ...ada, chatId: "chat_2", messageId: id })
      ]) {
        const reason = yield* reasonOf(content.modify({ ref, text: "a" }))
        assert.strictEqual(reason._tag, "MessageNotFound")
        assert.deepInclude(reason, { messageId: ref.messageId })
      }
      assert.notInclude(calls(), "PATCH")
      platform.clear()
      // Deleted between the two calls.
      platform.respond(({ method }) => (method === "PATCH" ? missing : undefined))
      assert.strictEqual((yield* reasonOf(change(id, { text: "a" })))._tag, "MessageNotFound")
      assert.strictEqual(calls(), "GET PATCH")
    })
  )
  const missing = json(404, { error: { message: "not found", cause: { status: 404 } } })

  it.effect("if it is to begin anew: the platform takes no time back", () =>
    Effect.gen(function* () {
      const { calls, change, id } = yield* open()
      const reason = yield* reasonOf(change(id, { reopen: true }))
      assert.strictEqual(reason._tag, "Unsupported")
      assert.strictEqual(calls(), "GET")
    })
  )

  it.effect("for a null, before anything is asked", () =>
    Effect.gen(function* () {
      const { calls, change, id } = yield* open()
      for (const fields of [{ references: null }, { debugInfo: null, text: "a" }]) {
        const reason = yield* reasonOf(change(id, fields))
        assert.strictEqual(reason._tag, "UnstorableText")
        assert.include(reason.message, "[]")
      }
      assert.strictEqual(calls(), "")
    })
  )

  const words = "text must be shorter"
  for (const [title, trouble] of [
    ["400, nested", json(400, { error: { message: words, cause: { status: 400 } } })],
    ["400, flat", json(400, { error: "Bad Request", message: words, statusCode: 400 })],
    ["400, without an error", json(400, { message: words, statusCode: 400 })],
    ["413", json(413, { message: words })],
    ["422", json(422, { message: words })]
  ] as const) {
    it.effect(`for its text, and not in the platform's words: ${title}`, () =>
      Effect.gen(function* () {
        const { change, id, platform, troubled } = yield* open()
        troubled("PATCH", trouble)
        const reason = yield* reasonOf(change(id, { text: "much too long" }))
        assert.strictEqual(reason._tag, "UnstorableText")
        assert.include(reason.message, `answered ${object(trouble).status}`)
        assert.notInclude(reason.message, words)
        assert.deepInclude(reason, { messageId: id })
        assert.strictEqual(platform.message(id)?.text, "before")
      })
    )
  }

  it.effect("for its length by a proxy, which has no words", () =>
    Effect.gen(function* () {
      const { change, id, troubled } = yield* open()
      troubled("PATCH", { ...page, status: 413 })
      const reason = yield* reasonOf(change(id, { text: "much too long" }))
      assert.strictEqual(reason._tag, "UnstorableText")
      assert.include(reason.message, "413")
    })
  )
})

const object = (trouble: Trouble) =>
  typeof trouble === "string" ? assert.fail("it has no answer") : trouble

describe("the texts are unavailable", () => {
  const statuses = [401, 403, 405, 408, 409, 425, 429, 500, 502, 503, 504]
  const troubles: ReadonlyArray<readonly [string, Trouble | ((id: string) => Trouble)]> = [
    ...statuses.map((status) => [`${status}`, json(status, { message: "no" })] as const),
    ["404 of a proxy", { ...page, status: 404 }],
    ["200 and nothing", { status: 200, body: "" }],
    ["204", { status: 204, body: "" }],
    ["302", { status: 302, body: "" }],
    ["200 and a page", page],
    ["200 and an array", json(200, [])],
    ["200 and null", json(200, null)],
    ["200 and an error", json(200, { error: { message: "no" } })],
    ["200 and the message without its id", json(200, { object: "message", chatId, text: "a" })],
    ["200 and another message", json(200, { id: "msg_other", object: "message", chatId })],
    [
      "200 and a message of another chat",
      (id) => json(200, { id, object: "message", chatId: "chat_2" })
    ],
    [
      "200 and a time that is none",
      (id) => json(200, { id, object: "message", chatId, completedAt: 0 })
    ],
    ["200 and a text that is none", (id) => json(200, { id, object: "message", chatId, text: 1 })],
    ["a connection that is reset", "reset"],
    ["an answer that is lost", "loseAnswer"]
  ]
  for (const [title, trouble] of troubles) {
    for (const method of ["GET", "PATCH"]) {
      it.effect(`after ${title} to a ${method}`, () =>
        Effect.gen(function* () {
          const { calls, change, id, troubled } = yield* open()
          const what = typeof trouble === "function" ? trouble(id) : trouble
          const calm = troubled(method, what)
          const reason = yield* reasonOf(change(id, { text: "a" }))
          assert.strictEqual(reason._tag, "ContentUnavailable")
          assert.include(reason.message, "modify")
          assert.strictEqual(calls(), method === "GET" ? "GET" : "GET PATCH")
          calm()
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual((yield* change(id, { text: "b" })).text, "b")
        })
      )
    }
  }

  it.effect("to a search too, if one of the messages is none", () =>
    Effect.gen(function* () {
      const { content, id, platform } = yield* open()
      const { messageId: _, ...chat } = refOf(id)
      platform.patchState(id, { role: "CHORUS" })
      const [message] = yield* content.find(chat)
      assert.strictEqual(message?.role, "assistant")
      platform.patchState(id, { createdAt: "yesterday" })
      assert.strictEqual((yield* reasonOf(content.find(chat)))._tag, "ContentUnavailable")
      assert.strictEqual((yield* reasonOf(content.find(refOf(id))))._tag, "ContentUnavailable")
    })
  )
})

describe("a change that gets no answer", () => {
  for (const method of ["GET", "PATCH"]) {
    const isIt = (request: Request) => request.method === method

    it.effect(`to its ${method} ends with an interrupt, its connection too, and is no lock`, () =>
      Effect.gen(function* () {
        const { change, id, platform, troubled } = yield* open()
        const calm = troubled(method, "hang")
        const fiber = yield* Effect.forkChild(change(id, { text: "hangs" }))
        const request = yield* platform.received(isIt)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* request.over, "left")
        calm()
        assert.strictEqual((yield* change(id, { text: "after" })).text, "after")
      })
    )

    it.effect(`to its ${method} is given up after writeTimeout, with those behind it`, () =>
      Effect.gen(function* () {
        const { change, id, platform, troubled } = yield* open({ writeTimeout: "3 seconds" })
        const calm = troubled(method, "hang")
        const first = yield* Effect.forkChild(reasonOf(change(id, { text: "first" })))
        const request = yield* platform.received(isIt)
        const second = yield* Effect.forkChild(reasonOf(change(id, { text: "second" })), {
          startImmediately: true
        })
        yield* TestClock.adjust("2999 millis")
        assert.isUndefined(first.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        for (const fiber of [first, second]) {
          const reason = yield* Fiber.join(fiber)
          assert.strictEqual(reason._tag, "ContentUnavailable")
          assert.include(reason.message, "3s")
        }
        assert.strictEqual(yield* request.over, "left")
        calm()
        assert.strictEqual((yield* change(id, { text: "after" })).text, "after")
      })
    )
  }

  it.effect("ends when the layer closes, and leaves no connection", () =>
    Effect.gen(function* () {
      const { id, platform } = yield* open()
      platform.respond(({ method }) => (method === "PATCH" ? "hang" : undefined))
      const request = yield* Effect.scoped(
        Effect.gen(function* () {
          const { change } = yield* openOn(platform)
          yield* Effect.forkScoped(change(id, { text: "a" }))
          return yield* platform.received(({ method }) => method === "PATCH")
        })
      )
      assert.strictEqual(yield* request.over, "left")
    })
  )
})

describe("what is said of a change", () => {
  const secrets = {
    text: "hush the text\nof nobody else",
    originalText: 'hush original "words"',
    references: [{ name: "hush5reference" }],
    debugInfo: { plan: { step: "hush7debug" } }
  }
  const hidden = ["hush", "nobody else"]
  const quoting = (quoted: string) =>
    json(400, { error: { message: `data: { field: "${quoted}" } is too long` } })

  const quotes = [
    secrets.text,
    JSON.stringify(secrets.text),
    secrets.text.slice(0, 22),
    secrets.text.slice(0, 5),
    secrets.originalText,
    JSON.stringify(secrets.originalText),
    JSON.stringify(secrets.references),
    secrets.references[0]?.name ?? "",
    JSON.stringify(secrets.debugInfo),
    `${secrets.text} ${"and so on ".repeat(50)}`
  ]
  const answers: ReadonlyArray<Trouble> = [
    page,
    json(500, { message: "no" }),
    json(200, { ...secrets, id: 1, chatId }),
    json(200, { ...secrets, id: "msg_other", chatId }),
    "reset",
    "loseAnswer",
    ...quotes.map(quoting),
    ...quotes.map((quoted) => ({ ...object(quoting(quoted)), status: 500 })),
    ...quotes.map((quoted) => ({ ...object(quoting(quoted)), status: 200 }))
  ]

  for (const [index, trouble] of answers.entries()) {
    it.effect(`has nothing of its texts, whatever the answer repeats of them (${index + 1})`, () =>
      Effect.gen(function* () {
        const { change, id, platform, troubled } = yield* open()
        const calm = troubled("PATCH", trouble)
        const failed = yield* overheard(change(id, secrets))
        assert.isTrue(Exit.isFailure(failed.exit))
        const said = reachableText(failed)
        // The spans are there, with what they tell.
        assert.include(said, "UniquePlatform.change")
        for (const secret of [...hidden, platform.apiKey, platform.appId]) {
          assert.notInclude(said, secret)
        }
        calm()
        const done = yield* overheard(Effect.asVoid(change(id, secrets)))
        assert.isTrue(Exit.isSuccess(done.exit))
        for (const secret of hidden) assert.notInclude(reachableText(done), secret)
      })
    )
  }

  it.effect("is in the platform's words where no text was sent", () =>
    Effect.gen(function* () {
      const { change, content, id, troubled } = yield* open()
      troubled("PATCH", json(400, { message: "completedAt is too early" }))
      const late = yield* reasonOf(change(id, { setCompletedAt: true }))
      assert.include(late.message, "The platform answered 400: completedAt is too early")
      troubled("POST", json(400, { message: "no such assistant" }))
      const unmade = yield* reasonOf(content.create(newMessage()))
      assert.include(unmade.message, "The platform answered 400: no such assistant")
    })
  )
})
