// How much is asked of the platform at once, for how long, and of whom not at all for a while.
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import * as TestClock from "effect/testing/TestClock"
import { MessageChange, type Run } from "effect-cancellation"
import { makePlatformStore } from "../src/internal/platformStore.ts"
import {
  ada,
  ask,
  begin,
  eve,
  html,
  isFind,
  isList,
  json,
  listen,
  ofChat,
  open,
  openPorts,
  openRepo,
  runOf,
  until,
  whyNot
} from "./store.fixture.ts"

const idOf = ({ ref }: Run) => ref.messageId

const all = (word: string, runs: ReadonlyArray<unknown>) => runs.map(() => word)

describe("requests under way", () => {
  it.live("are as many as `concurrency`, and a quarter of that for one company", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ concurrency: 12 })
      const other = yield* openPorts(platform)
      const probe = add({ companyId: "probe" })
      platform.respond(({ headers }) => (headers["x-company-id"] === "probe" ? undefined : "hang"))
      const runsOf = (companyId: string) =>
        Array.from({ length: 12 }, (_, chat) => add({ companyId, chatId: `chat ${chat}` }))
      for (const [companies, most] of [
        [["company_1"], 3],
        [["company_1", "company_2", "company_3"], 9],
        [["company_1", "company_2", "company_3", "company_4", "company_5"], 12]
      ] as const) {
        platform.clear()
        const fiber = yield* Effect.forkChild(ask(store, companies.flatMap(runsOf)))
        const sent = () =>
          platform.requests.filter(({ headers }) => headers["x-company-id"] !== "probe")
        yield* until(() => sent().length >= most)
        // Whatever else was sent with them has arrived by the time that this is answered.
        assert.deepStrictEqual(yield* ask(other.store, [probe]), ["running"])
        assert.strictEqual(sent().length, most)
        yield* Fiber.interrupt(fiber)
        for (const { over } of sent()) assert.strictEqual(yield* over, "left")
      }
    }).pipe(Effect.scoped)
  )

  it.live("are no more where messages are asked for alone", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ concurrency: 8 }, { latency: 5 })
      const runs = Array.from({ length: 20 }, () => add())
      platform.respond((request) =>
        isList(request) ? json(200, { object: "list", data: [] }) : undefined
      )
      assert.deepStrictEqual(yield* ask(store, runs), all("running", runs))
      assert.strictEqual(platform.requests.filter(isFind).length, 20)
      assert.isAtMost(platform.maxConcurrent, 2)
    }).pipe(Effect.scoped)
  )

  it.live("open no more connections in tick after tick", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ concurrency: 64 }, { latency: 5 })
      const runs = [1, 2, 3, 4, 5, 6].flatMap((company) =>
        Array.from({ length: 10 }, (_, chat) =>
          add({ companyId: `company_${company}`, chatId: `chat ${chat}` })
        )
      )
      for (let tick = 0; tick < 10; tick++) {
        assert.deepStrictEqual(yield* ask(store, runs), all("running", runs))
      }
      assert.strictEqual(platform.requests.length, 600)
      // As many as were under way at once for the client, whatever the server saw of that.
      assert.isAtMost(platform.connections, 60)
      // Refusals are read to their end too.
      platform.respond((request) => (isList(request) ? json(500, { message: "No." }) : undefined))
      for (let tick = 0; tick < 3; tick++) {
        assert.deepStrictEqual(yield* ask(store, runs), all("failed", runs))
      }
      assert.isAtMost(platform.connections, 60)
    }).pipe(Effect.scoped)
  )
})

describe("a chat that hangs", () => {
  it.live("is a failed read after `pollTimeout`, and the stops of others are found", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ pollTimeout: "2 seconds" })
      const [hangs, stopped, running, foreign] = [
        add({ chatId: "hangs" }),
        add(),
        add({ chatId: "third" }),
        add({ ...eve, chatId: "hangs" })
      ]
      platform.stopMessage(idOf(stopped))
      platform.stopMessage(idOf(foreign))
      platform.respond((request) =>
        ofChat("hangs")(request) && request.headers["x-company-id"] === ada.companyId
          ? "hang"
          : undefined
      )
      assert.deepStrictEqual(yield* ask(store, [hangs, stopped, running, foreign]), [
        "failed",
        "stopped",
        "running",
        "stopped"
      ])
      assert.match(yield* whyNot(store, hangs), /No answer from the platform: none within 2s/)
    }).pipe(Effect.scoped)
  )

  it.live("is one, whether the list hangs or the read of what it lacks", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ pollTimeout: "2 seconds" })
      const [hidden, listed] = [add({ id: "hidden" }), add()]
      platform.stopMessage(idOf(listed))
      platform.respond((request) =>
        isList(request)
          ? json(200, {
              object: "list",
              data: platform.messagesOf("chat").filter(({ id }) => id !== "hidden")
            })
          : "hang"
      )
      // What was read before is not given up with it.
      assert.deepStrictEqual(yield* ask(store, [hidden, listed]), ["failed", "stopped"])
      assert.match(yield* whyNot(store, hidden), /none within 2s/)
    }).pipe(Effect.scoped)
  )

  it.effect("has no more time for both, the list and the read of what it lacks", () =>
    Effect.gen(function* () {
      const store = makePlatformStore({
        reads: {
          list: () => Effect.delay(Effect.succeed({ value: [], now: 0 }), 150),
          find: () => Effect.never
        },
        pollTimeout: Duration.millis(200)
      })
      const fiber = yield* Effect.forkChild(whyNot(store, runOf({ chatId: "chat", id: "m" })))
      yield* TestClock.adjust(199)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      // In its words it is what was given in all.
      assert.match(yield* Fiber.join(fiber), /none within 200ms/)
    })
  )

  it.live("uses up no turns of other companies, however many of its company's hang", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ concurrency: 8, pollTimeout: "2 seconds" })
      const hanging = Array.from({ length: 10 }, (_, chat) => add({ chatId: `chat ${chat}` }))
      const others = Array.from({ length: 10 }, (_, chat) =>
        add({ ...eve, chatId: `chat ${chat}` })
      )
      for (const run of others) platform.stopMessage(idOf(run))
      platform.respond(({ headers }) =>
        headers["x-company-id"] === ada.companyId ? "hang" : undefined
      )
      assert.deepStrictEqual(yield* ask(store, [...hanging, ...others]), [
        ...all("failed", hanging),
        ...all("stopped", others)
      ])
      // Those that had no turn were never sent.
      const sent = platform.requests.filter(
        ({ headers }) => headers["x-company-id"] === ada.companyId
      )
      assert.strictEqual(sent.length, 2)
      for (const { over } of sent) assert.strictEqual(yield* over, "left")
    }).pipe(Effect.scoped)
  )

  it.effect("takes the turn of no other chat for good", () =>
    Effect.gen(function* () {
      // Who is first in a look and hangs has all of it.
      const turns = Semaphore.makeUnsafe(1)
      const runs = ["hangs", "second", "third"].map((chatId) => runOf({ chatId, id: chatId }))
      const store = makePlatformStore({
        reads: {
          list: ({ chatId }) =>
            turns.withPermit(
              chatId === "hangs"
                ? Effect.never
                : Effect.delay(Effect.succeed({ value: [{ id: chatId }], now: 0 }), 1)
            ),
          find: () => Effect.succeedNone
        },
        pollTimeout: Duration.millis(200)
      })
      const look = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(ask(store, runs))
        yield* TestClock.adjust(200)
        return yield* Fiber.join(fiber)
      })
      const looks = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => look).pipe(
        Random.withSeed("looks")
      )
      const found = runs.map((_, index) => looks.some((look) => look[index] === "running"))
      assert.deepStrictEqual(found, [false, true, true])
    })
  )
})

describe("a refusal", () => {
  it.live("ends the requests of its company for a while, and polling goes on for others", () =>
    Effect.gen(function* () {
      for (const [status, headers] of [
        [429, { "retry-after": "1" }],
        [429, {}],
        [401, {}],
        [503, { "retry-after": "1" }]
      ] as const) {
        const { add, platform, store } = yield* open()
        const [mine, same, foreign] = [add(), add({ chatId: "other" }), add(eve)]
        const end = platform.respond((request) =>
          request.headers["x-company-id"] === ada.companyId
            ? json(status, { message: "No." }, headers)
            : undefined
        )
        assert.deepStrictEqual(yield* ask(store, [mine]), ["failed"])
        end()
        platform.clear()
        platform.stopMessage(idOf(foreign))
        for (let tick = 0; tick < 3; tick++) {
          assert.deepStrictEqual(yield* ask(store, [mine, same, foreign]), [
            "failed",
            "failed",
            "stopped"
          ])
        }
        assert.deepStrictEqual(
          platform.requests.map(({ headers }) => headers["x-company-id"]),
          ["company_2", "company_2", "company_2"]
        )
        assert.match(
          yield* whyNot(store, mine),
          new RegExp(`Not asked: the platform answered ${status}, and is asked again in \\d`)
        )
      }
    }).pipe(Effect.scoped)
  )

  it.live("ends them for a chat alone, if it is 403", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const [mine, same] = [add(), add({ chatId: "other" })]
      const end = platform.respond((request) =>
        ofChat("chat")(request) ? json(403, { message: "No." }) : undefined
      )
      const runs = [mine, same]
      assert.deepStrictEqual(yield* ask(store, runs), ["failed", "running"])
      end()
      platform.clear()
      assert.deepStrictEqual(yield* ask(store, runs), ["failed", "running"])
      assert.isFalse(platform.requests.some(ofChat("chat")))
    }).pipe(Effect.scoped)
  )

  it.live("makes writes of its company fail at once, and of no other", () =>
    Effect.gen(function* () {
      const { add, content, platform, store } = yield* open({ assistantId: "assistant" })
      const [mine, foreign] = [add(), add(eve)]
      const end = platform.respond((request) =>
        request.headers["x-company-id"] === ada.companyId
          ? json(429, { message: "No." }, { "retry-after": "30" })
          : undefined
      )
      yield* ask(store, [mine])
      end()
      platform.clear()
      const change = ({ ref }: Run) => content.modify(MessageChange.make({ ref, text: "so far" }))
      const { reason } = yield* Effect.flip(change(mine))
      assert.strictEqual(reason._tag, "ContentUnavailable")
      assert.match(reason.message, /Not asked: the platform answered 429/)
      assert.strictEqual(platform.requests.length, 0)
      assert.strictEqual((yield* change(foreign)).text, "so far")
    }).pipe(Effect.scoped)
  )

  it.live("of a write begins a pause too", () =>
    Effect.gen(function* () {
      const { add, content, platform, store } = yield* open({ assistantId: "assistant" })
      const run = add()
      platform.respond((request) =>
        request.method === "PATCH"
          ? json(429, { message: "No." }, { "retry-after": "30" })
          : undefined
      )
      const change = MessageChange.make({ ref: run.ref, text: "so far" })
      assert.strictEqual(
        (yield* Effect.flip(content.modify(change))).reason._tag,
        "ContentUnavailable"
      )
      platform.clear()
      assert.deepStrictEqual(yield* ask(store, [run]), ["failed"])
      assert.strictEqual(platform.requests.length, 0)
    }).pipe(Effect.scoped)
  )

  it.live("is not undone by a success that was under way", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const [slow, refused] = [add({ chatId: "slow" }), add()]
      platform.latency = (request) => (ofChat("slow")(request) ? 100 : 0)
      platform.respond((request) =>
        ofChat("chat")(request) ? json(429, {}, { "retry-after": "30" }) : undefined
      )
      const fiber = yield* Effect.forkChild(ask(store, [slow]))
      yield* platform.received(ofChat("slow"))
      assert.deepStrictEqual(yield* ask(store, [refused]), ["failed"])
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["running"])
      platform.clear()
      assert.deepStrictEqual(yield* ask(store, [slow, refused]), ["failed", "failed"])
      assert.strictEqual(platform.requests.length, 0)
    }).pipe(Effect.scoped)
  )

  for (const [name, retryAfter] of [
    ["seconds", "1"],
    ["a date of the platform's own clock", undefined]
  ] as const) {
    it.live(
      `is over after what it asks for, and a stop is found that came meanwhile: ${name}`,
      () =>
        Effect.gen(function* () {
          const { layer, warnings } = yield* listen
          yield* Effect.gen(function* () {
            const { add, platform, store } = yield* open({}, { clockOffset: -86_400_000 })
            const repo = yield* openRepo(store)
            const [run, foreign] = [add(), add(eve)]
            const mine = yield* begin(repo, { ref: run.ref, pollInterval: "20 millis" })
            const other = yield* begin(repo, { ref: foreign.ref, pollInterval: "20 millis" })
            assert.isFalse(yield* mine.watcher.check)
            // Whole seconds, as a date has them: 1 to 2 of them.
            const date = new Date(platform.now() + 2000).toUTCString()
            const headers = { "retry-after": retryAfter ?? date }
            let refused = 0
            let refusedAt = 0
            platform.respond((request) => {
              if (request.headers["x-company-id"] !== ada.companyId || refused > 0) return undefined
              refused++
              refusedAt = performance.now()
              return json(429, { error: { message: "Too Many Requests" } }, headers)
            })
            yield* platform.received(({ status }) => status === 429)
            platform.clear()
            platform.pressStop("chat", ada)
            assert.strictEqual(yield* Fiber.join(mine.fiber), "stopped")
            const paused = performance.now() - refusedAt
            assert.isAbove(paused, retryAfter === undefined ? 990 : 999)
            const asked = platform.requests.filter(
              ({ headers }) => headers["x-company-id"] === ada.companyId
            )
            assert.strictEqual(asked.length, 1)
            assert.isAbove(platform.requests.length, 2)
            assert.isFalse(yield* other.watcher.check)
            assert.strictEqual(warnings.length, 1, warnings.join("\n"))
            assert.include(warnings[0], "Too Many Requests")
          }).pipe(Effect.provide(layer), Effect.scoped)
        })
    )
  }

  it.live("of the platform's own rate limit is kept to", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const runs = Array.from({ length: 6 }, (_, chat) => add({ chatId: `chat ${chat}` }))
      platform.rateLimit(ada.companyId, { requests: 3, perMillis: 60_000, retryAfter: 60 })
      const said = yield* ask(store, runs)
      assert.sameMembers(said, [...all("running", runs.slice(3)), ...all("failed", runs.slice(3))])
      const sent = platform.requests.length
      yield* ask(store, runs)
      yield* ask(store, runs)
      assert.strictEqual(platform.requests.length, sent)
    }).pipe(Effect.scoped)
  )

  it.live("is told apart from a page that a proxy answers with", () =>
    Effect.gen(function* () {
      for (const [status, words] of [
        [401, /answered 401\. Is the API key right, and of this installation\?/],
        [403, /answered 403\. May this app see the chat, and are company and user named/],
        [404, /answered 404/],
        [502, /answered 502$/]
      ] as const) {
        const { add, platform, store } = yield* open()
        platform.respond(() => html(status))
        const why = yield* whyNot(store, add())
        assert.match(why, words)
        assert.notInclude(why, "Sign in")
      }
    }).pipe(Effect.scoped)
  )
})
