import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { InvalidSetting } from "effect-cancellation"
import { HttpRouter, HttpServer } from "effect/http"
import { OpenApi } from "effect/http-api"
import * as StopServer from "effect-cancellation-http/StopServer"
import { vi } from "vitest"
import { jsonOf, openStops, page, pathsOf, runOf, Services } from "./support/stops.ts"

const run = runOf()
const { stop } = pathsOf(run)

describe("the Stop API refuses", () => {
  const refusals: ReadonlyArray<
    readonly [
      what: string,
      answer: string,
      asked: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
    ]
  > = [
    ["a page of another site", "403 cross_site", { headers: { "sec-fetch-site": "cross-site" } }],
    [
      "a page of another site, whatever it says its origin is",
      "403 cross_site",
      { headers: { "sec-fetch-site": "cross-site", origin: page } }
    ],
    ["another origin", "403 cross_site", { headers: { origin: "https://evil.example" } }],
    ["an origin that only begins alike", "403 cross_site", { headers: { origin: `${page}.evil` } }],
    [
      "an origin by another scheme",
      "403 cross_site",
      { headers: { origin: "http://app.example.com" } }
    ],
    ["a page without an origin of its own", "403 cross_site", { headers: { origin: "null" } }],
    ["a form", "415 unsupported_media_type", { headers: { "content-type": "text/plain" } }],
    [
      "what only looks like JSON",
      "415 unsupported_media_type",
      { headers: { "content-type": "application/jsonp" } }
    ],
    ["no content type", "415 unsupported_media_type", { headers: { "content-type": "" } }],
    ["malformed JSON", "400 invalid_request", { body: "{nonsense" }],
    ["an array", "400 invalid_request", { body: "[]" }],
    ["no body", "400 invalid_request", { body: "" }],
    ["a body that is too large", "413 too_large", { body: { note: "x".repeat(17_000) } }]
  ]
  for (const [what, answer, asked] of refusals) {
    it.live(`${what}: ${answer}`, () =>
      Effect.gen(function* () {
        const stops = yield* openStops()
        yield* stops.start(run)
        const response = yield* stops.send("POST", stop, { as: "ada", ...asked })
        const body = yield* jsonOf(response)
        assert.strictEqual(`${response.status} ${String(body["code"])}`, answer)
        assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
        assert.isUndefined((yield* stops.record(run))?.request)
      }).pipe(Effect.scoped)
    )
  }

  it.live("a body that does not come to its end: 408 too_slow", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ bodyTimeout: "50 millis" })
      const half = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode("{"))
      })
      const init: RequestInit & { readonly duplex: "half" } = {
        method: "POST",
        headers: { authorization: "Bearer ada", "content-type": "application/json" },
        body: half,
        duplex: "half"
      }
      const response = yield* Effect.promise(() =>
        stops.handler(new Request(`http://localhost${stop}`, init))
      )
      assert.strictEqual(response.status, 408)
      assert.strictEqual((yield* jsonOf(response))["code"], "too_slow")
    }).pipe(Effect.scoped)
  )

  it.live("reads of other sites too", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      yield* stops.start(run)
      for (const path of [stop, pathsOf(run).events]) {
        const response = yield* stops.send("GET", path, {
          as: "ada",
          headers: { "sec-fetch-site": "cross-site" }
        })
        assert.strictEqual(response.status, 403)
      }
    }).pipe(Effect.scoped)
  )

  it.live("ids that are none, and takes those of 255 characters of four bytes", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const path = (id: string) => `/chats/chat/messages/${id}/stop`
      for (const id of ["a%22b", "%00", "a%0Ab", "x".repeat(256)]) {
        const response = yield* stops.send("GET", path(id), { as: "ada" })
        assert.strictEqual((yield* jsonOf(response))["code"], "invalid_request", id)
      }
      const long = runOf({ messageId: "𝒙".repeat(127) })
      yield* stops.start(long)
      assert.strictEqual((yield* stops.send("GET", pathsOf(long).stop, { as: "ada" })).status, 200)
    }).pipe(Effect.scoped)
  )

  it.live("other addresses and methods with a problem as well", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      for (const [method, path] of [
        ["GET", "/"],
        ["DELETE", stop],
        ["GET", "/chats/x/messages/%E0%A4%A/stop"],
        ["GET", `/chats/${"x".repeat(4000)}/messages/y/stop`]
      ] as const) {
        const response = yield* stops.send(method, path, { as: "ada" })
        assert.strictEqual(response.status, 404, path.slice(0, 50))
        assert.strictEqual((yield* jsonOf(response))["code"], "not_found")
      }
    }).pipe(Effect.scoped)
  )
})

describe("the Stop API takes", () => {
  for (const [what, headers] of [
    ["its own pages", { origin: page, "sec-fetch-site": "same-site" }],
    ["programs, which have no origin", {}],
    ["JSON with a charset", { "content-type": "Application/JSON; charset=utf-8" }]
  ] as const) {
    it.live(what, () =>
      Effect.gen(function* () {
        const stops = yield* openStops()
        yield* stops.start(run)
        const response = yield* stops.send("POST", stop, { as: "ada", headers })
        assert.strictEqual(response.status, 202)
        assert.strictEqual(response.headers.get("cache-control"), "no-store")
      }).pipe(Effect.scoped)
    )
  }
})

describe("settings", () => {
  const build = (options: StopServer.StopServerOptions) =>
    Layer.build(
      StopServer.layer(options).pipe(
        Layer.provide([Services(), HttpRouter.layer, HttpServer.layerServices])
      )
    ).pipe(Effect.scoped, Effect.exit)

  const wrong: ReadonlyArray<
    readonly [option: string, settings: Partial<StopServer.StopServerOptions>]
  > = [
    ["allowedOrigins", { allowedOrigins: ["https://app.example.com/"] }],
    ["allowedOrigins", { allowedOrigins: ["app.example.com"] }],
    ["allowedOrigins", { allowedOrigins: ["*"] }],
    ["allowedOrigins", { allowedOrigins: ["https://*.example.com"] }],
    ["allowedOrigins", { allowedOrigins: ["https://app.example.com:443"] }],
    ["rateLimit.limit", { rateLimit: { limit: 0, window: "1 minute" } }],
    ["rateLimit.window", { rateLimit: { limit: 1, window: Infinity } }],
    ["maxBody", { maxBody: 0.5 }],
    ["tick", { tick: 0 }],
    ["idleTick", { idleTick: -1 }],
    ["maxWait", { maxWait: "26 seconds" }],
    ["keepAlive", { keepAlive: Infinity }],
    ["maxEvents", { maxEvents: Number.NaN }]
  ]
  for (const [option, settings] of wrong) {
    it.live(`that cannot work kill the layer: ${JSON.stringify(settings)}`, () =>
      Effect.gen(function* () {
        const exit = yield* build({ allowedOrigins: [], ...settings })
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidSetting)
        assert.strictEqual(defect.option, option)
      })
    )
  }

  it.live("that cannot work are said in the log, and reject each request of a web handler", () =>
    Effect.gen(function* () {
      const said = vi.spyOn(console, "log").mockImplementation(() => {})
      const { dispose, handler } = StopServer.toWebHandler({ allowedOrigins: ["*"] }, Services())
      const ask = Effect.exit(Effect.tryPromise(() => handler(new Request("http://localhost/"))))
      assert.isTrue(Exit.isFailure(yield* ask))
      assert.isTrue(Exit.isFailure(yield* ask))
      assert.lengthOf(said.mock.calls, 1)
      assert.include(String(said.mock.calls[0]), "allowedOrigins")
      said.mockRestore()
      yield* Effect.promise(dispose)
    })
  )

  it.live("that are right build it", () =>
    Effect.gen(function* () {
      assert.isTrue(
        Exit.isSuccess(yield* build({ allowedOrigins: [page, "http://localhost:3000"] }))
      )
    })
  )
})

describe("the OpenAPI document", () => {
  it("has the four routes below the prefix, with every refusal", () => {
    const { paths } = OpenApi.fromApi(StopServer.apiAt("/api"))
    const chat = "/api/chats/{chatId}"
    assert.deepStrictEqual(Object.keys(paths).toSorted(), [
      `${chat}/messages/{messageId}/stop`,
      `${chat}/messages/{messageId}/stop/events`,
      `${chat}/stop`
    ])
    const statuses = Object.keys(paths[`${chat}/messages/{messageId}/stop`]?.post?.responses ?? {})
    assert.includeMembers(statuses, ["200", "202", "400", "401", "403", "413", "415", "429", "503"])
  })
})
