// The key and the app's id are in nothing that a program logs, traces or fails with.
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import {
  ChatId,
  CompanyId,
  MessageChange,
  MessageContent,
  MessageQuery,
  MessageStore,
  NewMessage,
  RunQuery,
  UserId
} from "effect-cancellation"
import { FetchHttpClient } from "effect/http"
import { UniquePlatform } from "../src/index.ts"
import { ada, begin, isFind, isList, json, openRepo, type Rule, runOf } from "./store.fixture.ts"
import { startPlatform } from "./support/PlatformServer.ts"

// With what JSON and a page would write in another way.
const key = `s3cret"/\\<key>&%20`
const app = "s3cret-app's"

/** All strings that can be reached from a value, hidden and computed ones too. */
const stringsIn = (value: unknown): ReadonlyArray<string> => {
  const seen = new Set<unknown>()
  const found: Array<string> = []
  const visit = (one: unknown): void => {
    if (typeof one === "string") found.push(one)
    else if (typeof one === "symbol") found.push(one.description ?? "")
    if (typeof one !== "object" || one === null || seen.has(one)) return
    seen.add(one)
    if (one instanceof Map) for (const [name, entry] of one) [name, entry].forEach(visit)
    if (one instanceof Set) for (const entry of one) visit(entry)
    for (
      let owner: object | null = one;
      owner !== null && owner !== Object.prototype;
      owner = Reflect.getPrototypeOf(owner)
    ) {
      for (const name of Reflect.ownKeys(owner)) {
        visit(name)
        try {
          visit(Reflect.get(owner, name, one))
        } catch {
          // A getter that is not for this object.
        }
      }
    }
  }
  visit(value)
  return found
}

/** Everything that anybody may make of a value. */
const dumped = (value: unknown): string =>
  [
    inspect(value, { depth: 12, showHidden: true, getters: true }),
    String(value),
    inJson(value),
    ...stringsIn(value)
  ].join("\n")

const inJson = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    // What points at itself.
    return ""
  }
}

const dumpedCause = (cause: Cause.Cause<unknown>): string =>
  [
    Cause.pretty(cause),
    dumped(cause),
    ...cause.reasons.map((reason) =>
      dumped(reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : reason)
    )
  ].join("\n")

/** What is said while something goes wrong: lines with all that is in them, and spans. */
const overhear = Effect.gen(function* () {
  const lines = yield* Queue.unbounded<string>()
  const dumps: Array<string> = []
  const spans: Array<Tracer.NativeSpan> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    dumps.push(dumped(message), dumpedCause(cause))
    dumps.push(dumped(fiber.getRef(References.CurrentLogAnnotations)))
    dumps.push(dumped(fiber.getRef(References.CurrentLogSpans)))
    if (logLevel === "Warn" || logLevel === "Error") Queue.offerUnsafe(lines, String(message))
  })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return {
    dumps,
    warned: Queue.take(lines),
    spans,
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(Tracer.Tracer, tracer),
      Layer.succeed(References.MinimumLogLevel, "All")
    )
  }
})

const ports = (baseUrl: string, timeout: Duration.Input) =>
  UniquePlatform.layer({
    apiKey: Redacted.make(key),
    appId: Redacted.make(app),
    baseUrl,
    assistantId: "assistant",
    pollTimeout: timeout,
    writeTimeout: timeout
  }).pipe(Layer.provide(FetchHttpClient.layer))

const owner = { companyId: CompanyId.make(ada.companyId), userId: UserId.make(ada.userId) }
const chatId = ChatId.make("chat")
const run = runOf({ ...ada, chatId, id: "m" })

/** Does all there is, and answers all that can be known of it. */
const overheardAt = Effect.fnUntraced(function* (
  baseUrl: string,
  timeout: Duration.Input = "1 minute"
) {
  const { dumps, layer, spans, warned } = yield* overhear
  yield* Effect.gen(function* () {
    const context = yield* Layer.build(Layer.fresh(ports(baseUrl, timeout)))
    const store = Context.get(context, MessageStore)
    const content = Context.get(context, MessageContent)
    const platform = Context.get(context, UniquePlatform)
    const calls = [
      store.stopRequests([run]),
      store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })),
      content.find(MessageQuery.make(run.ref)),
      content.find(MessageQuery.make({ ...owner, chatId })),
      content.modify(MessageChange.make({ ref: run.ref, text: "so far" })),
      content.create(NewMessage.make({ ref: run.ref, role: "assistant", text: "a" })),
      platform.interruptTurn({ ...owner, chatId, userMessageId: "u" })
    ]
    for (const call of calls) {
      const exit = yield* Effect.exit<unknown, unknown, never>(call)
      dumps.push(Exit.isFailure(exit) ? dumpedCause(exit.cause) : dumped(exit.value))
    }
    const repo = yield* openRepo(store)
    yield* begin(repo, { ref: run.ref, pollInterval: "20 millis" })
    dumps.push(yield* warned)
  }).pipe(Effect.scoped, Effect.provide(layer))
  assert.isAbove(spans.length, 6)
  for (const span of spans) {
    const { attributes, events, links, name, status } = span
    dumps.push(dumped([name, attributes, events, links, status]))
    if (status._tag === "Ended" && Exit.isFailure(status.exit)) {
      dumps.push(dumpedCause(status.exit.cause))
    }
  }
  const dump = dumps.join("\n")
  return { dump, spans }
})

const echo = `You sent Authorization: Bearer ${key} and x-app-id: ${app}.`
const page = {
  status: 200,
  body: `<!doctype html><pre>${echo}</pre>`,
  headers: { "content-type": `text/html; sent="${key}"; app=${app}` }
}

describe("neither key nor app id is in lines, spans and errors", () => {
  const troubles: ReadonlyArray<readonly [name: string, rule: Rule, said: RegExp]> = [
    ["401 that repeats it", () => json(401, { error: { message: echo } }), /Bearer <redacted> and/],
    [
      "401 that repeats it as a string",
      () => json(401, { error: "Refused", message: echo, statusCode: 401 }),
      /x-app-id: <redacted>/
    ],
    ["401 that repeats it and nothing else", () => json(401, { error: key }), /401: <redacted>/],
    [
      "401 that repeats it twice",
      () => json(401, { error: echo + echo }),
      /<redacted>.+<redacted>/
    ],
    ["401 as a page", () => ({ ...page, status: 401 }), /answered 401\./],
    ["400 that repeats it", () => json(400, { message: echo }), /answered 400: You sent/],
    ["a page that repeats it, in its headers too", () => page, /it is no JSON, but text\/html/],
    ["an error in a success", () => json(200, { error: { message: echo } }), /Bearer <redacted>/],
    [
      "500 that repeats it where the words are cut",
      () => json(500, { message: `${"-".repeat(190)}${key} and ${"-".repeat(190)}${app}` }),
      /-{190}<redacted>…/
    ],
    ["500 with white space in between", () => json(500, { message: `\n\n${echo}\t` }), /You sent/],
    [
      "a list that is none",
      () => json(200, { object: "page", data: [echo] }),
      /no list of messages/
    ],
    ["JSON that is a string", () => json(200, echo), /a JSON string/],
    [
      "a redirect that repeats it",
      ({ path }) =>
        path === "/login"
          ? page
          : {
              status: 302,
              body: "",
              headers: {
                location: `/login?key=${encodeURIComponent(key)}&app=${encodeURIComponent(app)}`
              }
            },
      /it redirects/
    ],
    [
      "a message that is not there",
      (request) =>
        isFind(request)
          ? json(404, { error: { message: echo } })
          : isList(request)
            ? json(200, { object: "list", data: [] })
            : json(404, { error: { message: echo } }),
      /answered 404: You sent/
    ],
    ["a reset", () => "reset", /No answer from the platform/],
    ["no answer", () => "hang", /none within 200ms/]
  ]
  for (const [name, rule, said] of troubles) {
    it.live(name, () =>
      Effect.gen(function* () {
        const platform = yield* startPlatform()
        platform.respond(rule)
        const { dump } = yield* overheardAt(
          platform.baseUrl,
          name === "no answer" ? "200 millis" : undefined
        )
        assert.match(dump, said)
        assert.notInclude(dump, "s3cret")
        // They were sent, or there is nothing to hide.
        const [request] = platform.requests
        assert.strictEqual(request?.headers.authorization, `Bearer ${key}`)
        assert.strictEqual(request?.headers["x-app-id"], app)
      }).pipe(Effect.scoped)
    )
  }

  it.live("nobody there", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* Effect.scoped(startPlatform())
      const { dump } = yield* overheardAt(baseUrl)
      assert.match(dump, /ECONNREFUSED/)
      assert.notInclude(dump, "s3cret")
    }).pipe(Effect.scoped)
  )
})

const said = { id: "m", chatId: "chat", text: "What she said.", userAbortedAt: "yes" }

it.live("a span says what was asked and answered, and no more", () =>
  Effect.gen(function* () {
    const platform = yield* startPlatform()
    platform.respond((request) => {
      if (isFind(request)) return json(200, said)
      return isList(request) ? json(200, { object: "list", data: [said] }) : json(500, {})
    })
    const { spans } = yield* overheardAt(platform.baseUrl)
    const own = spans.filter(({ name }) => name.startsWith("UniquePlatform."))
    assert.deepStrictEqual(
      Array.from(new Set(own.map(({ kind, name }) => `${kind} ${name}`))),
      ["list", "find", "change", "create", "interruptTurn"].map(
        (name) => `client UniquePlatform.${name}`
      )
    )
    assert.notInclude(spans.map(({ status }) => dumped(status)).join("\n"), "What she said.")
    for (const { attributes, events, links } of own) {
      assert.deepStrictEqual(Array.from(attributes.keys()), [
        "http.request.method",
        "http.response.status_code"
      ])
      assert.deepStrictEqual([events.length, links.length], [0, 0])
    }
    assert.deepStrictEqual(
      Array.from(new Set(spans.map(({ name }) => name))).filter((name) => name.startsWith("http")),
      []
    )
  }).pipe(Effect.scoped)
)

describe("a layer that cannot be built does not say it either", () => {
  const layers = {
    "a key that no header holds": UniquePlatform.layer({
      apiKey: Redacted.make("s3cret\r\nx: y"),
      appId: Redacted.make(app)
    }),
    "an app id that no header holds": UniquePlatform.layer({
      apiKey: Redacted.make(key),
      appId: Redacted.make("s3cret ü")
    }),
    "an address with a password": UniquePlatform.layer({
      apiKey: Redacted.make(key),
      appId: Redacted.make(app),
      baseUrl: "https://me:s3cret@unique.example.com/public/chat"
    }),
    "no key in the environment": UniquePlatform.layerConfig().pipe(
      Layer.provide(
        ConfigProvider.layer(ConfigProvider.fromEnv({ env: { UNIQUE_APP_ID: "s3cret" } }))
      )
    ),
    "no app id in the environment": UniquePlatform.layerConfig().pipe(
      Layer.provide(
        ConfigProvider.layer(ConfigProvider.fromEnv({ env: { UNIQUE_API_KEY: "s3cret" } }))
      )
    )
  }
  for (const [name, layer] of Object.entries(layers)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(
          Layer.build(Layer.fresh(layer)).pipe(Effect.provide(FetchHttpClient.layer))
        )
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) assert.notInclude(dumpedCause(exit.cause), "s3cret")
      }).pipe(Effect.scoped)
    )
  }
})

it.effect("the walk finds what is hidden", () =>
  Effect.sync(() => {
    class Hidden {
      get computed() {
        return "s3cret"
      }
    }
    for (const value of [
      new Hidden(),
      Object.defineProperty({}, "hidden", { value: "s3cret", enumerable: false }),
      new Error("x", { cause: new Error("s3cret") }),
      new Map([[{}, { deep: ["s3cret"] }]]),
      { [Symbol("s3cret")]: 1 }
    ]) {
      assert.include(stringsIn(value).join("\n"), "s3cret")
    }
  })
)
