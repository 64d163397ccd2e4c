// Bodies that come slowly, not at all, or from somebody who may not ask.
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Layer from "effect/Layer"
import { MessageStore } from "effect-cancellation"
import { until } from "../../sql/test/support/until.ts"
import * as AgentServer from "../src/AgentServer.ts"
import { makeTokens, startServer } from "./support/agentFixture.ts"
import { connect } from "./support/connection.ts"
import { rawAnswer } from "./support/rawAnswer.ts"
import { openServer } from "./support/server.ts"
import { openStops, pathsOf, runOf } from "./support/stops.ts"

const run = runOf()

/** A request whose body is longer than what comes of it. */
const half = (path: string, token: string | undefined, length = 100, sent = "{") =>
  [
    `POST ${path} HTTP/1.1`,
    "host: localhost",
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
    "content-type: application/json",
    `content-length: ${length}`,
    "",
    sent
  ].join("\r\n")

const codeOf = (came: string) => {
  const { headers, status, text } = rawAnswer(came)
  return { status, code: JSON.parse(text).code, connection: headers.get("connection") }
}

const tooSlow = { status: 408, code: "too_slow", connection: "close" }

describe("half a body", () => {
  it.live(
    "of a stop is answered with 408 on its socket, which is closed, and nothing is left",
    () =>
      Effect.gen(function* () {
        const server = yield* openServer({ bodyTimeout: "50 millis" })
        yield* server.start(run)
        for (const path of [pathsOf(run).stop, pathsOf(run).chat]) {
          const client = yield* connect(server.port)
          yield* client.write(half(path, "ada"))
          assert.deepStrictEqual(codeOf(yield* client.closed), tooSlow)
        }
        yield* server.nothingLeft
      }).pipe(Effect.scoped)
  )

  it.live("of an agent is answered with 408 on its socket, which is closed", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ bodyTimeout: "50 millis" })
      const client = yield* connect(Number(new URL(server.url).port))
      yield* client.write(half("/agent/look", "acme"))
      assert.deepStrictEqual(codeOf(yield* client.closed), tooSlow)
      yield* until(Effect.sync(server.connected), (connected) => connected === 0)
    })
  )

  it.live("of a client that leaves leaves nothing behind", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ bodyTimeout: "1 minute" })
      for (const leave of ["end", "destroy"] as const) {
        const client = yield* connect(server.port)
        yield* client.write(half(pathsOf(run).stop, "ada"))
        yield* server.fibers.atLeast(1)
        client.socket[leave]()
        yield* client.closed
        yield* server.nothingLeft
      }
    }).pipe(Effect.scoped)
  )

  /** One that never comes to its end, and whether it was read no further. */
  const halfRequest = (path: string, token: string, signal?: AbortSignal) =>
    Effect.map(Deferred.make<void>(), (cancelled) => {
      const init: RequestInit & { readonly duplex: "half" } = {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
          cancel: () => void Deferred.doneUnsafe(cancelled, Effect.void)
        }),
        duplex: "half",
        ...(signal === undefined ? {} : { signal })
      }
      return {
        request: new Request(`http://localhost${path}`, init),
        cancelled: Deferred.await(cancelled)
      }
    })

  it.live("of a web handler is read no further after the answer", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ bodyTimeout: "50 millis" })
      const { cancelled, request } = yield* halfRequest(pathsOf(run).stop, "ada")
      const response = yield* Effect.promise(() => stops.handler(request))
      assert.strictEqual(response.status, 408)
      yield* cancelled
    }).pipe(Effect.scoped)
  )

  it.live("of a web handler is read no further when its client is gone", () =>
    Effect.gen(function* () {
      const agents = AgentServer.layer({ bodyTimeout: "1 minute" }).pipe(
        Layer.provide([makeTokens().layer, MessageStore.layerMemory(), HttpServer.layerServices])
      )
      const { handler } = yield* Effect.acquireRelease(
        Effect.sync(() => HttpRouter.toWebHandler(agents, { disableLogger: true })),
        ({ dispose }) => Effect.promise(dispose)
      )
      const leaving = new AbortController()
      const { cancelled, request } = yield* halfRequest("/agent/look", "acme", leaving.signal)
      void handler(request)
      yield* until(
        Effect.sync(() => request.bodyUsed),
        (isRead) => isRead
      )
      leaving.abort()
      yield* cancelled
    }).pipe(Effect.scoped)
  )
})

describe("the body of somebody unknown", () => {
  const large = "x".repeat(5 * 1024 * 1024)
  for (const token of [undefined, "expired"]) {
    it.live(`is not waited for, nor read (${token ?? "no token"})`, () =>
      Effect.gen(function* () {
        const stops = yield* openServer({ bodyTimeout: "1 minute" })
        const agents = yield* startServer({ bodyTimeout: "1 minute" })
        for (const [port, path] of [
          [stops.port, pathsOf(run).stop],
          [Number(new URL(agents.url).port), "/agent/look"]
        ] as const) {
          const slow = yield* connect(port)
          yield* slow.write(half(path, token))
          const came = yield* slow.until((text) => text.includes("unauthenticated"))
          assert.strictEqual(rawAnswer(came).status, 401)
          slow.socket.destroy()

          const greedy = yield* connect(port)
          yield* Effect.forkScoped(greedy.write(half(path, token, large.length, large)))
          assert.strictEqual(rawAnswer(yield* greedy.closed).status, 401)
        }
        assert.deepStrictEqual(agents.tokens.seen, [token ?? "", token ?? ""])
        yield* stops.nothingLeft
      }).pipe(Effect.scoped)
    )
  }
})
