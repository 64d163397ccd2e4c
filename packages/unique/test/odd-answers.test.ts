// An answer that cannot be understood is a failed read: no stop, no "goes on", no "gone".
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import {
  MessageChange,
  MessageContent,
  MessageStore,
  RunQuery,
  type Run
} from "effect-cancellation"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { UniquePlatform } from "../src/index.ts"
import {
  ada,
  ask,
  begin,
  html,
  isFind,
  isList,
  json,
  listen,
  ofChat,
  open,
  openRepo,
  type Rule,
  runOf,
  type Trouble,
  whyNot
} from "./store.fixture.ts"
import { startPlatform } from "./support/PlatformServer.ts"

const nested = (status: number) => json(status, { error: { message: "No.", cause: { status } } })
const flat = (status: number) =>
  json(status, { error: "Refused", message: "No.", statusCode: status })

type Named = readonly [string, Trouble]

/** What is no answer to whatever was asked. */
const odd: ReadonlyArray<Named> = [
  ["nothing", { status: 200, body: "" }],
  ["nothing, as 204 has it", { status: 204, body: "" }],
  ["white space", { status: 200, body: " \r\n\t " }],
  ["a page", html(200)],
  ["a page that calls itself JSON", html(200, { "content-type": "application/json" })],
  ["an array", json(200, [])],
  ["an array of messages", json(200, [{ id: "m", userAbortedAt: null }])],
  ["a string", json(200, "ok")],
  ["null", json(200, null)],
  ["a number", json(200, 17)],
  ["true", json(200, true)],
  ["an empty object", json(200, {})],
  ["an object that is something else", json(200, { status: "up" })],
  ["an error in a success, as an object", nested(200)],
  ["an error in a success, as a string", flat(200)],
  ["an empty error in a success", json(200, { error: {} })],
  ["JSON that ends too early", { status: 200, body: '{"object":"list","data":[' }],
  [
    "a body that is broken off",
    {
      status: 200,
      body: '{"object":"list","data":[]}',
      headers: { "content-length": "1000", connection: "close" }
    }
  ],
  [
    "a body that does not end",
    { status: 200, body: '{"object":"list","data":[]}', headers: { "content-length": "1000" } }
  ],
  ["a reset", "reset"],
  ["a reset after the work", "loseAnswer"],
  ["no answer", "hang"],
  ["304", { status: 304, body: "" }],
  ["a page instead of 404", html(404)],
  ["404 without a body", { status: 404, body: "" }],
  ["404 with JSON that is no object", json(404, ["Not found"])],
  ["404 with a JSON string", json(404, "Not found")],
  ...[400, 401, 403, 429, 500, 502, 503].flatMap((status): ReadonlyArray<Named> => [
    [`${status}, as an object`, nested(status)],
    [`${status}, as a string`, flat(status)],
    [`${status} without an error`, json(status, { message: "No." })],
    [`${status} without a body`, { status, body: "" }],
    [`${status} as a page`, html(status)]
  ])
]

/** Only where a list is asked for: a message without a list around it. */
const oddLists: ReadonlyArray<Named> = [
  ["a list without data", json(200, { object: "list" })],
  ["a list with data that is none", json(200, { object: "list", data: {} })],
  ["a list with null as data", json(200, { object: "list", data: null })],
  ["data of something else", json(200, { object: "page", data: [] })],
  ["data without a name", json(200, { data: [] })],
  ["a list with an error in it", json(200, { object: "list", data: [], error: "half of it" })],
  ["a list in a redirect to nowhere", json(302, { object: "list", data: [] })],
  // Even from the platform: a list says which messages there are, not that there are none.
  ["404 for the whole chat", nested(404)],
  ["404 for the whole chat, as a string", flat(404)]
]

const oddMessages: ReadonlyArray<Named> = [
  ["another message", json(200, { id: "another", chatId: "chat", userAbortedAt: null })],
  ["one of another chat", json(200, { id: "asked", chatId: "other", userAbortedAt: null })],
  ["one without id", json(200, { chatId: "chat", userAbortedAt: null })],
  ["one with an empty id", json(200, { id: "", chatId: "chat", userAbortedAt: null })],
  ["one with a number as id", json(200, { id: 17, chatId: "chat", userAbortedAt: null })],
  ["one with another kind of role", json(200, { id: "asked", chatId: "chat", role: 5 })],
  ["one with another kind of turn", json(200, { id: "asked", responseTurnId: 5 })],
  ["a list", json(200, { object: "list", data: [] })]
]

/** Where there is no answer, there is as much time as others need for theirs. */
const settingsFor = (name: string) =>
  /^no answer|does not end/.test(name) ? ({ pollTimeout: "2 seconds" } as const) : {}

describe("an odd answer to the list", () => {
  for (const [name, trouble] of [...odd, ...oddLists]) {
    it.live(`is a failed read: ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open(settingsFor(name))
        const runs = [add({ userAbortedAt: new Date().toISOString() }), add()] as const
        // Of another company: some of the troubles are pauses of a whole one.
        const other = add({ companyId: "company_2", chatId: "other" })
        platform.stopMessage(other.ref.messageId)
        const end = platform.respond((request) => (ofChat("chat")(request) ? trouble : undefined))
        assert.deepStrictEqual(yield* ask(store, [...runs, other]), ["failed", "failed", "stopped"])
        assert.isFalse(platform.requests.some(isFind))
        assert.strictEqual(
          (yield* Effect.flip(store.stopRequests(runs))).reason._tag,
          "StoreUnavailable"
        )
        end()
      }).pipe(Effect.scoped)
    )
  }
})

describe("an odd answer to the read of one message", () => {
  for (const [name, trouble] of [...odd, ...oddMessages]) {
    it.live(`is a failed read: ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open(settingsFor(name))
        const [asked, listed] = [add({ id: "asked" }), add()]
        platform.stopMessage("asked")
        const whole = platform.messagesOf("chat")
        const list = { object: "list", data: whole.filter(({ id }) => id !== "asked") }
        platform.respond((request) => (isList(request) ? json(200, list) : trouble))
        assert.deepStrictEqual(yield* ask(store, [asked, listed]), ["failed", "running"])
        assert.strictEqual(platform.requests.filter(isFind).length, 1)
      }).pipe(Effect.scoped)
    )
  }
})

describe("a redirect", () => {
  for (const [name, location] of [
    ["to a page for signing in", "/login"],
    ["to where an empty list is", "/elsewhere"]
  ] as const) {
    it.live(`is a failed read: ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open(settingsFor(name))
        const run = add()
        platform.respond(({ path }) =>
          path === "/login"
            ? html(200)
            : path === "/elsewhere"
              ? json(200, { object: "list", data: [] })
              : { status: 302, body: "", headers: { location } }
        )
        assert.match(yield* whyNot(store, run), /it redirects; give the address itself as baseUrl/)
        assert.isFalse(platform.requests.some(isFind))
      }).pipe(Effect.scoped)
    )
  }
})

it.live("a redirect that the client does not follow is a failed read, and sends nothing on", () =>
  Effect.gen(function* () {
    const [platform, elsewhere] = [yield* startPlatform(), yield* startPlatform()]
    const run = runOf({ ...ada, chatId: "chat", id: platform.add({ ...ada, chatId: "chat" }).id })
    platform.respond(() => ({
      status: 307,
      body: "",
      headers: { location: `${elsewhere.baseUrl}/messages` }
    }))
    const Client = FetchHttpClient.layer.pipe(
      Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
    )
    const ports = UniquePlatform.layer({
      apiKey: Redacted.make(platform.apiKey),
      appId: Redacted.make(platform.appId),
      baseUrl: platform.baseUrl
    }).pipe(Layer.provide(Client))
    const context = yield* Layer.build(Layer.fresh(ports))
    const why = yield* whyNot(Context.get(context, MessageStore), run)
    assert.match(why, /answered 307 .* it redirects; give the address itself/)
    const change = MessageChange.make({ ref: run.ref, text: "What she said." })
    yield* Effect.flip(Context.get(context, MessageContent).modify(change))
    assert.strictEqual(elsewhere.connections, 0)
  }).pipe(Effect.scoped)
)

it.live("an answer that a browser hides, as it does of such a redirect, is no success", () =>
  Effect.gen(function* () {
    const Client = Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, Response.error()))
      )
    )
    const secret = Redacted.make("secret")
    const ports = UniquePlatform.layer({ apiKey: secret, appId: secret }).pipe(
      Layer.provide(Client)
    )
    const context = yield* Layer.build(Layer.fresh(ports))
    const run = runOf({ ...ada, chatId: "chat", id: "m" })
    assert.deepStrictEqual(yield* ask(Context.get(context, MessageStore), [run]), ["failed"])
    const turn = { ...run.ref, userMessageId: "u" }
    const error = yield* Effect.flip(Context.get(context, UniquePlatform).interruptTurn(turn))
    assert.strictEqual(error.reason._tag, "OddAnswer")
  }).pipe(Effect.scoped)
)

/** Of a message in the list. */
const time = "2026-11-29T12:00:00.000Z"

describe("userAbortedAt", () => {
  for (const value of [
    "",
    " ",
    false,
    true,
    0,
    17,
    1_764_417_600_000,
    "yes",
    "null",
    "0001-01-01T00:00:00Z",
    "1970-01-01T00:00:00.000Z",
    {},
    [],
    [time],
    { $date: time },
    "2026-11-29",
    "2026-11-29T12:00:00",
    "2026-13-29T12:00:00Z",
    "2026-11-29T25:00:00Z",
    "29.11.2026 12:00:00",
    `${time} `
  ]) {
    it.live(`is malformed: ${JSON.stringify(value)}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const [odd, good, stopped] = [add(), add(), add()]
        platform.patchState(odd.ref.messageId, { userAbortedAt: value })
        platform.stopMessage(stopped.ref.messageId)
        const runs = [odd, good, stopped]
        const expected = ["failed", "running", "stopped"]
        assert.deepStrictEqual(yield* ask(store, runs), expected)
        // And alone, where the list lacks it.
        platform.respond((request) =>
          isList(request)
            ? json(200, {
                object: "list",
                data: platform.messagesOf("chat").filter(({ id }) => id !== odd.ref.messageId)
              })
            : undefined
        )
        assert.deepStrictEqual(yield* ask(store, runs), expected)
        const look = yield* store.stopRequests(runs)
        assert.deepStrictEqual(
          look.failures.map(({ error }) => error.reason._tag),
          ["MalformedRow"]
        )
        assert.include(look.failures[0]?.error.message, odd.ref.messageId)
      }).pipe(Effect.scoped)
    )
  }

  for (const value of [time, "2026-11-29T12:00:00Z", "2026-11-29T13:00:00+01:00"]) {
    it.live(`is a stop: ${value}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const run = add()
        platform.patchState(run.ref.messageId, { userAbortedAt: value })
        const { requests } = yield* store.stopRequests([run])
        assert.deepStrictEqual(requests[0]?.request.userAbortedAt, Date.parse(time))
        assert.deepStrictEqual(requests[0]?.request.reason, "user")
      }).pipe(Effect.scoped)
    )
  }
})

describe("what is not there", () => {
  for (const [name, fields] of [
    ["no userAbortedAt", { userAbortedAt: undefined }],
    ["null in userAbortedAt", { userAbortedAt: null }],
    ["no role", { role: undefined }],
    ["null as role", { role: null }],
    ["a role that nobody here has heard of", { role: "TOOL" }],
    ["no chat", { chatId: undefined }],
    ["no times", { createdAt: undefined, updatedAt: undefined, completedAt: undefined }],
    ["no turn", { responseTurnId: undefined }],
    ["null as turn", { responseTurnId: null }],
    ["no text", { text: undefined, originalText: undefined, references: undefined }],
    ["another kind of object", { object: "chat.message" }],
    ["fields that nobody here has heard of", { abortedAt: time, stopped: true }]
  ] as const) {
    it.live(`is no stop: ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const run = add()
        platform.patchState(run.ref.messageId, fields)
        assert.deepStrictEqual(yield* ask(store, [run]), ["running"])
        // Nor does it hide one.
        platform.stopMessage(run.ref.messageId)
        assert.deepStrictEqual(yield* ask(store, [run]), ["stopped"])
        // And who sees a stop of a run gets its receipt.
        const [found] = yield* store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] }))
        assert.strictEqual(found?.request?.reason, "user")
      }).pipe(Effect.scoped)
    )
  }
})

describe("a row that is none", () => {
  const rows: ReadonlyArray<readonly [string, unknown]> = [
    ["null", null],
    ["a string", "msg_1"],
    ["a number", 17],
    ["a list", []],
    ["an empty object", {}],
    ["one without id", { chatId: "chat", role: "ASSISTANT", userAbortedAt: time }],
    ["one with an empty id", { id: "", userAbortedAt: time }],
    ["one of another chat", { id: "x", chatId: "other", role: "ASSISTANT", userAbortedAt: time }],
    ["one with another kind of role", { id: "x", role: 5, userAbortedAt: time }]
  ]
  for (const [name, row] of rows) {
    it.live(`hides no other, and may be a stop of any turn: ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const stopped = add({ responseTurnId: "turn_1" })
        platform.stopMessage(stopped.ref.messageId)
        const ofTurn = add({ responseTurnId: "turn_2" })
        const alone = add()
        for (const at of ["first", "last"]) {
          const end = platform.respond((request) => {
            if (!isList(request)) return undefined
            const good = platform.messagesOf("chat")
            return json(200, {
              object: "list",
              data: at === "first" ? [row, ...good] : [...good, row]
            })
          })
          assert.deepStrictEqual(yield* ask(store, [stopped, ofTurn, alone]), [
            "stopped",
            "failed",
            "running"
          ])
          end()
        }
        assert.isFalse(platform.requests.some(isFind))
      }).pipe(Effect.scoped)
    )

    it.live(`is looked for alone, if it stands for the message: ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const run = add()
        platform.respond((request) =>
          isList(request) ? json(200, { object: "list", data: [row] }) : undefined
        )
        assert.deepStrictEqual(yield* ask(store, [run]), ["running"])
        platform.stopMessage(run.ref.messageId)
        assert.deepStrictEqual(yield* ask(store, [run]), ["stopped"])
      }).pipe(Effect.scoped)
    )
  }

  it.live("says nothing of other turns, if it says which is its own", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const runs = [add({ responseTurnId: "turn_1" }), add({ responseTurnId: "turn_2" })]
      const row = { id: "x", chatId: "chat", role: 5, responseTurnId: "turn_1" }
      platform.respond((request) =>
        isList(request)
          ? json(200, { object: "list", data: [row, ...platform.messagesOf("chat")] })
          : undefined
      )
      assert.deepStrictEqual(yield* ask(store, runs), ["failed", "running"])
    }).pipe(Effect.scoped)
  )

  it.live("leaves open what it says of a message that is there once more, or alone", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const run = add({ id: "m" })
      const row = { id: "m", role: 5, userAbortedAt: time }
      for (const others of [platform.messagesOf("chat"), []]) {
        const end = platform.respond((request) =>
          isList(request) ? json(200, { object: "list", data: [row, ...others] }) : undefined
        )
        assert.deepStrictEqual(yield* ask(store, [run]), ["failed"])
        end()
      }
      assert.deepStrictEqual(yield* ask(store, [run]), ["running"])
    }).pipe(Effect.scoped)
  )
})

/** Through the repo: the run goes on, the trouble is told once, and a stop is found after it. */
describe("a run", () => {
  const troubles: ReadonlyArray<readonly [string, (run: Run) => Rule]> = [
    ["a page", () => () => html(200)],
    ["nothing", () => () => ({ status: 200, body: "" })],
    ["an error in a success", () => () => nested(200)],
    ["a page instead of 404", () => () => html(404)],
    ["404 for the whole chat", () => (request) => (isList(request) ? nested(404) : undefined)],
    ["502", () => () => html(502)],
    ["a reset", () => () => "reset"],
    ["no answer", () => () => "hang"],
    [
      "a list that lacks it, and a page instead of it",
      () => (request) => (isList(request) ? json(200, { object: "list", data: [] }) : html(404))
    ],
    [
      "an answer about another chat",
      ({ ref }) =>
        (request) => {
          const other = { id: ref.messageId, chatId: "other", userAbortedAt: time }
          return json(200, isList(request) ? { object: "list", data: [other] } : other)
        }
    ],
    [
      "an odd userAbortedAt",
      ({ ref }) =>
        () => {
          const id = ref.messageId
          return json(200, {
            object: "list",
            data: [{ id, userAbortedAt: "0001-01-01T00:00:00Z" }]
          })
        }
    ]
  ]
  for (const [name, ruleOf] of troubles) {
    it.live(`goes on through ${name}, and is stopped after it`, () =>
      Effect.gen(function* () {
        const { next, layer, warnings } = yield* listen
        yield* Effect.gen(function* () {
          const { add, platform, store } = yield* open(settingsFor(name))
          const run = add()
          const repo = yield* openRepo(store)
          const { fiber, watcher } = yield* begin(repo, { ref: run.ref, pollInterval: "20 millis" })
          yield* platform.received(({ status }) => status === 200)
          const several = yield* Deferred.make<void>()
          const rule = ruleOf(run)
          let asked = 0
          const end = platform.respond((request) => {
            if (++asked === 3) Deferred.doneUnsafe(several, Effect.void)
            return rule(request)
          })
          yield* Deferred.await(several)
          assert.isFalse(yield* watcher.check)
          assert.isUndefined(fiber.pollUnsafe())
          end()
          platform.pressStop("chat")
          assert.strictEqual(yield* Fiber.join(fiber), "stopped")
          assert.strictEqual((yield* watcher.cancellation).request.reason, "user")
          assert.strictEqual(warnings.length, 1, warnings.join("\n"))
          assert.strictEqual(yield* next, warnings[0])
          assert.notInclude(warnings[0], "Sign in")
        }).pipe(Effect.provide(layer), Effect.scoped)
      })
    )
  }
})

describe("gone", () => {
  it.live("is what the list lacks, if the platform says of the message alone that it is not", () =>
    Effect.gen(function* () {
      for (const errorShape of ["nested", "flat", "absent"] as const) {
        const { add, platform, store } = yield* open({}, { errorShape })
        const [deleted, stopped, running] = [add(), add(), add()]
        platform.stopMessage(stopped.ref.messageId)
        platform.remove(deleted.ref.messageId)
        assert.deepStrictEqual(yield* ask(store, [deleted, stopped, running]), [
          "gone",
          "stopped",
          "running"
        ])
        assert.deepStrictEqual(
          platform.requests.map(({ path }) => path.replace(/.*\/messages/, "")),
          ["", `/${deleted.ref.messageId}`]
        )
      }
    }).pipe(Effect.scoped)
  )

  it.live("is not what a list leaves out", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const [running, stopped] = [add(), add()]
      platform.stopMessage(stopped.ref.messageId)
      platform.respond((request) =>
        isList(request) ? json(200, { object: "list", data: [] }) : undefined
      )
      assert.deepStrictEqual(yield* ask(store, [running, stopped]), ["running", "stopped"])
    }).pipe(Effect.scoped)
  )

  it.live("is what belongs to another user, company or chat", () =>
    Effect.gen(function* () {
      const { add, store } = yield* open()
      const { messageId: id } = add().ref
      const runs = [
        runOf({ ...ada, chatId: "other", id }),
        runOf({ ...ada, chatId: "chat", id, userId: "user_bob" }),
        runOf({ ...ada, chatId: "chat", id, companyId: "company_2" })
      ]
      assert.deepStrictEqual(yield* ask(store, runs), ["gone", "gone", "gone"])
    }).pipe(Effect.scoped)
  )

  it.live("cancels a run in two looks running, and not where a list leaves it out", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const repo = yield* openRepo(store)
      const [deleted, hidden] = [add(), add()]
      const first = yield* begin(repo, { ref: deleted.ref, pollInterval: "20 millis" })
      const second = yield* begin(repo, { ref: hidden.ref, pollInterval: "20 millis" })
      assert.isFalse(yield* first.watcher.check)
      assert.isFalse(yield* second.watcher.check)
      platform.respond((request) =>
        isList(request) ? json(200, { object: "list", data: [] }) : undefined
      )
      platform.remove(deleted.ref.messageId)
      platform.clear()
      assert.strictEqual(yield* Fiber.join(first.fiber), "stopped")
      assert.strictEqual((yield* first.watcher.cancellation).request.reason, "deleted")
      const looks = platform.requests.filter(
        ({ path, status }) => path.endsWith(`/${deleted.ref.messageId}`) && status === 404
      )
      assert.isAtLeast(looks.length, 2)
      assert.isFalse(yield* second.watcher.check)
      platform.stopMessage(hidden.ref.messageId)
      assert.strictEqual(yield* Fiber.join(second.fiber), "stopped")
      assert.strictEqual((yield* second.watcher.cancellation).request.reason, "user")
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )
})
