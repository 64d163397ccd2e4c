// What the layers are built with, and what they refuse.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { InvalidSetting, MessageStore, RunQuery } from "effect-cancellation"
import { FetchHttpClient, HttpClient } from "effect/http"
import { UniquePlatform, type UniquePlatformOptions } from "../src/index.ts"
import { ask, open, openPorts, runOf } from "./store.fixture.ts"

const secrets = { apiKey: Redacted.make("key"), appId: Redacted.make("app") }

const build = <E>(layer: Layer.Layer<MessageStore, E, HttpClient.HttpClient>) =>
  Effect.map(
    Layer.build(Layer.fresh(layer)).pipe(Effect.provide(FetchHttpClient.layer)),
    Context.get(MessageStore)
  )

const defectOf = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const exit = yield* Effect.exit(effect)
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  return reason?._tag === "Die" && reason.defect instanceof InvalidSetting
    ? reason.defect
    : assert.fail(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "it was built")
})

const layerOf = (options: Partial<UniquePlatformOptions>) =>
  UniquePlatform.layer({ ...secrets, ...options })

describe("an address", () => {
  for (const [name, change] of [
    ["as it is", (url: string) => url],
    ["with a slash at its end", (url: string) => `${url}/`],
    ["with several", (url: string) => `${url}///`],
    ["in double quotes", (url: string) => `"${url}"`],
    ["in single quotes", (url: string) => `'${url}/'`],
    ["with white space", (url: string) => ` ${url}\n`],
    ["with both", (url: string) => ` " ${url}/ " `],
    ["as a URL", (url: string) => new URL(url)],
    ["as a URL with a slash", (url: string) => new URL(`${url}/`)],
    ["of an own installation", (url: string) => url.replace("chat-gen2", "chat")],
    ["within the cluster", (url: string) => url.replace("/chat-gen2", "")]
  ] as const) {
    it.live(`is taken ${name}`, () =>
      Effect.gen(function* () {
        const { add, platform } = yield* open()
        const run = add()
        platform.stopMessage(run.ref.messageId)
        const apiKey = Redacted.make(` "${platform.apiKey}"\n`)
        const appId = Redacted.make(`'${platform.appId}'`)
        const store = yield* build(
          UniquePlatform.layer({ apiKey, appId, baseUrl: change(platform.baseUrl) })
        )
        assert.deepStrictEqual(yield* ask(store, [run]), ["stopped"])
      }).pipe(Effect.scoped)
    )
  }

  for (const baseUrl of [
    "",
    " ",
    '""',
    "gateway.unique.app/public/chat",
    "localhost:8080/public",
    "ftp://gateway.unique.app/public/chat",
    "file:///public/chat",
    "https://",
    "https://user@gateway.unique.app/public/chat",
    "https://user:s3cret@gateway.unique.app/public/chat",
    "https://:s3cret@gateway.unique.app/public/chat",
    "https://gateway.unique.app/public/chat?key=s3cret",
    "https://gateway.unique.app/public/chat#s3cret"
  ]) {
    it.effect(`is not ${JSON.stringify(baseUrl)}`, () =>
      Effect.gen(function* () {
        const error = yield* defectOf(build(layerOf({ baseUrl })))
        assert.strictEqual(error.option, "baseUrl")
        assert.match(error.message, /^baseUrl is not such an address; it must be http:\/\/ or/)
        assert.notInclude(error.message, "s3cret")
      }).pipe(Effect.scoped)
    )
  }
})

describe("a secret", () => {
  for (const option of ["apiKey", "appId"] as const) {
    for (const value of [
      "",
      " ",
      '""',
      "s3cret with blanks",
      "s3cret\nx: y",
      "s3crét",
      "s3cret\0"
    ]) {
      it.effect(`cannot be sent, and is not shown: ${option} ${JSON.stringify(value)}`, () =>
        Effect.gen(function* () {
          const error = yield* defectOf(build(layerOf({ [option]: Redacted.make(value) })))
          assert.strictEqual(error.option, option)
          assert.notInclude(JSON.stringify(error) + error.message, "s3cr")
          assert.match(error.message, /empty, or has characters that a header cannot hold/)
        }).pipe(Effect.scoped)
      )
    }

    it.effect(`must be a Redacted, as types that were switched off do not see: ${option}`, () =>
      Effect.gen(function* () {
        const unsafe: object = { ...secrets, [option]: "s3cret" }
        const error = yield* defectOf(build(UniquePlatform.layer(unsafe as UniquePlatformOptions)))
        assert.strictEqual(error.option, option)
        assert.notInclude(error.message, "s3cret")
      }).pipe(Effect.scoped)
    )
  }
})

describe("a number that cannot work", () => {
  for (const [option, values] of [
    ["pollTimeout", ["0 seconds", Number.NaN, -1, "Infinity"]],
    ["writeTimeout", ["0 seconds", Number.NaN, -1, "Infinity"]],
    ["concurrency", [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]]
  ] as const) {
    for (const value of values) {
      it.effect(`kills the layer: ${option} ${value}`, () =>
        Effect.gen(function* () {
          const given: object = { [option]: value }
          const error = yield* defectOf(build(layerOf(given)))
          assert.strictEqual(error.option, option)
        }).pipe(Effect.scoped)
      )
    }
  }

  it.live("is not what is left undefined", () =>
    Effect.gen(function* () {
      const { add, platform } = yield* open()
      const { store } = yield* openPorts(platform, {
        pollTimeout: undefined,
        writeTimeout: undefined,
        concurrency: undefined,
        assistantId: undefined
      })
      assert.deepStrictEqual(yield* ask(store, [add()]), ["running"])
    }).pipe(Effect.scoped)
  )
})

describe("the platform's own address", () => {
  it.effect("is taken if none is given, and nothing is asked while the layer is built", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const Client = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((_, url) => {
          asked.push(url.href)
          return Effect.never
        })
      )
      const environments = [
        {},
        { UNIQUE_API_BASE_URL: "" },
        { UNIQUE_API_BASE_URL: " " },
        { UNIQUE_API_BASE_URL: '""' }
      ].map((env) =>
        UniquePlatform.layerConfig().pipe(
          Layer.provide(
            ConfigProvider.layer(
              ConfigProvider.fromEnv({ env: { UNIQUE_API_KEY: "k", UNIQUE_APP_ID: "a", ...env } })
            )
          )
        )
      )
      for (const layer of [layerOf({}), ...environments]) {
        const store = Context.get(
          yield* Layer.build(Layer.fresh(layer)).pipe(Effect.provide(Client)),
          MessageStore
        )
        assert.deepStrictEqual(asked, [])
        yield* Effect.forkChild(
          store.findRuns(
            RunQuery.cases.Refs.make({ refs: [runOf({ chatId: "a chat/1", id: "m" }).ref] })
          ),
          { startImmediately: true }
        )
        yield* Effect.yieldNow
        assert.deepStrictEqual(asked, [
          "https://gateway.unique.app/public/chat-gen2/messages?chatId=a+chat%2F1"
        ])
        asked.length = 0
      }
    }).pipe(Effect.scoped)
  )
})

describe("the environment", () => {
  const inEnvironment = (env: Record<string, string>) =>
    UniquePlatform.layerConfig().pipe(
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
    )

  it.live("says who asks, and where", () =>
    Effect.gen(function* () {
      const { add, platform } = yield* open()
      const run = add()
      platform.stopMessage(run.ref.messageId)
      const store = yield* build(
        inEnvironment({
          UNIQUE_API_KEY: `"${platform.apiKey}"`,
          UNIQUE_APP_ID: platform.appId,
          UNIQUE_API_BASE_URL: `'${platform.baseUrl}/'`
        })
      )
      assert.deepStrictEqual(yield* ask(store, [run]), ["stopped"])
      const [request] = platform.requests
      assert.deepInclude(request?.headers, {
        authorization: `Bearer ${platform.apiKey}`,
        "x-app-id": platform.appId,
        "x-company-id": "company_1",
        "x-user-id": "user_ada",
        "x-api-version": "2023-12-06",
        accept: "application/json"
      })
    }).pipe(Effect.scoped)
  )

  for (const [missing, env] of [
    ["UNIQUE_API_KEY", { UNIQUE_APP_ID: "s3cret" }],
    ["UNIQUE_APP_ID", { UNIQUE_API_KEY: "s3cret" }],
    ["UNIQUE_API_KEY", { UNIQUE_APP_ID: "s3cret", UNIQUE_API_KEY: "" }]
  ] as const) {
    it.effect(
      `without ${missing} (${JSON.stringify(env)}) is an error that can be handled, and names it`,
      () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(build(inEnvironment(env)))
          assert.instanceOf(error, Config.ConfigError)
          assert.include(error.message, missing)
          assert.notInclude(error.message, "s3cret")
        }).pipe(Effect.scoped)
    )
  }

  it.effect("with a value that cannot work kills the layer", () =>
    Effect.gen(function* () {
      const whole = { UNIQUE_API_KEY: "key", UNIQUE_APP_ID: "app" }
      for (const [env, option] of [
        [{ ...whole, UNIQUE_API_KEY: '""' }, "apiKey"],
        [{ ...whole, UNIQUE_APP_ID: "two words" }, "appId"],
        [{ ...whole, UNIQUE_API_BASE_URL: "unique.example.com" }, "baseUrl"]
      ] as const) {
        assert.strictEqual((yield* defectOf(build(inEnvironment(env)))).option, option)
      }
      const settings = UniquePlatform.layerConfig({ pollTimeout: 0 }).pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: whole })))
      )
      assert.strictEqual((yield* defectOf(build(settings))).option, "pollTimeout")
    }).pipe(Effect.scoped)
  )
})
