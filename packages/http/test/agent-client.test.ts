import { inspect } from "node:util"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { FetchHttpClient } from "effect/http"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { TestClock } from "effect/testing"
import { MessageStore, type MessageStoreError, ProcessId, runKey } from "effect-cancellation"
import { freePort } from "../../sql/test/support/freePort.ts"
import { until } from "../../sql/test/support/until.ts"
import * as HttpMessageStore from "../src/HttpMessageStore.ts"
import {
  agentLayer,
  byUser,
  openAgent,
  runIn,
  startServer,
  stopOf
} from "./support/agentFixture.ts"
import { type Answer, json, listen, refuse } from "./support/scripted.ts"

const nothing = { requests: [], gone: [], lost: [], failures: [], now: 1 }
const run = runIn("acme")

const scripted = (answer: Answer) =>
  Effect.acquireRelease(
    Effect.promise(() => listen(answer)),
    (server) => Effect.promise(() => server[Symbol.asyncDispose]())
  )

const messageOf = (error: MessageStoreError) => {
  assert.strictEqual(error.reason._tag, "StoreUnavailable")
  return error.message
}

/** A failed call, and what it said. */
const failureOf = (call: Effect.Effect<unknown, MessageStoreError>) =>
  Effect.map(Effect.flip(call), messageOf)

// What happens inside of this process has happened by then.
const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

describe("HttpMessageStore", () => {
  // `fetch` may make a second one before it has seen that the first is free.
  for (const [title, client, most] of [
    ["fetch", FetchHttpClient.layer, 2],
    ["node:http", NodeHttpClient.layerNodeHttpOptions({ keepAlive: true }), 1],
    ["undici", NodeHttpClient.layerUndici, 2]
  ] as const) {
    it.effect(`keeps its connection from request to request, with ${title}`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const services = yield* Layer.build(
          HttpMessageStore.layer({ baseUrl: server.url, token: Redacted.make("acme") }).pipe(
            Layer.provide(client)
          )
        )
        const store = Context.get(services, MessageStore)
        yield* store.startRuns([run])
        for (let index = 0; index < 50; index++) yield* store.stopRequests([run])
        yield* store.advanceRuns([{ run, to: "completed" }])
        assert.strictEqual(server.requests().length, 52)
        assert.isAtMost(server.accepted(), most)
      })
    )
  }

  it.effect("takes 2,500 runs to the server in three requests", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { store } = yield* openAgent(server.url)
      const runs = Array.from({ length: 2500 }, () => runIn("acme"))
      assert.strictEqual((yield* store.startRuns(runs)).length, 2500)
      assert.strictEqual(server.requests().length, 3)
    })
  )

  it.effect("sends in halves what is too large for the server", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ maxBody: 2000 })
      const { store } = yield* openAgent(server.url)
      const runs = Array.from({ length: 37 }, () => runIn("acme"))
      const started = yield* store.startRuns(runs)
      assert.deepStrictEqual(
        started.map(({ run }) => runKey(run)),
        runs.map(runKey)
      )
      const look = yield* store.stopRequests([...runs, run])
      assert.deepStrictEqual(look.gone.map(runKey), [runKey(run)])
    })
  )

  it.effect(
    "sends in halves what is too large for a proxy, and one run that is by itself once",
    () =>
      Effect.gen(function* () {
        const server = yield* scripted((response, { body }) =>
          body.length > 500 ? response.writeHead(413).end("<html>") : json(response, 200, nothing)
        )
        const { store } = yield* openAgent(server.url)
        yield* store.stopRequests(Array.from({ length: 10 }, () => runIn("acme")))
        const halved = server.asked.length
        assert.isAbove(halved, 3)
        assert.include(
          yield* failureOf(store.stopRequests([runIn("acme", "x".repeat(240))])),
          "answered 413"
        )
        assert.strictEqual(server.asked.length, halved + 1)
      })
  )

  it.effect("sends 1,000 runs with the longest ids there can be", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { store } = yield* openAgent(server.url)
      const runs = Array.from({ length: 1000 }, (_, index) =>
        runIn("acme", "😀".repeat(240) + String(index).padStart(5, "0"))
      )
      assert.strictEqual((yield* store.startRuns(runs)).length, 1000)
    })
  )

  it.effect("ends a request that is not answered in time, and its connection with it", () =>
    Effect.gen(function* () {
      const server = yield* scripted(() => {})
      const { store } = yield* openAgent(server.url)
      const call = yield* Effect.forkChild(failureOf(store.stopRequests([run])))
      yield* Effect.promise(() => server.until(() => server.asked.length === 1))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.include(yield* Fiber.join(call), "did not answer in time")
      yield* Effect.promise(() => server.until(() => server.connected() === 0))
    })
  )

  it.effect("ends one whose answer stops half-way, and its connection with it", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response) => {
        response.writeHead(200, { "content-type": "application/json" })
        response.write('{"requests":[')
      })
      const { store } = yield* openAgent(server.url)
      const call = yield* Effect.forkChild(failureOf(store.stopRequests([run])))
      yield* Effect.promise(() => server.until(() => server.asked.length === 1))
      yield* TestClock.adjust("5 seconds")
      assert.include(yield* Fiber.join(call), "did not answer in time")
      yield* Effect.promise(() => server.until(() => server.connected() === 0))
    })
  )

  it.effect("ends an answer that it does not want, however long that goes on", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response) => {
        response.writeHead(418, { "content-type": "text/plain" })
        response.write("I am")
      })
      const { store } = yield* openAgent(server.url)
      assert.include(yield* failureOf(store.stopRequests([run])), "answered 418")
      yield* Effect.promise(() => server.until(() => server.connected() === 0))
    })
  )

  it.effect("ends a request whose caller is interrupted", () =>
    Effect.gen(function* () {
      const server = yield* scripted(() => {})
      const { store } = yield* openAgent(server.url)
      const call = yield* Effect.forkChild(store.stopRequests([run]))
      yield* Effect.promise(() => server.until(() => server.asked.length === 1))
      yield* Fiber.interrupt(call)
      yield* Effect.promise(() => server.until(() => server.connected() === 0))
    })
  )

  for (const [status, code] of [
    [503, "unavailable"],
    [429, "rate_limited"]
  ] as const) {
    it.effect(`sends nothing before the time that an answer of ${status} names`, () =>
      Effect.gen(function* () {
        const server = yield* scripted((response, _, index) =>
          index === 0
            ? refuse(response, status, code, { "retry-after": "3" })
            : json(response, 200, nothing)
        )
        const { store } = yield* openAgent(server.url)
        assert.include(yield* failureOf(store.stopRequests([run])), String(status))
        const calls = yield* Effect.forEach([1, 2], () =>
          Effect.forkChild(store.stopRequests([run]), { startImmediately: true })
        )
        yield* TestClock.adjust("2990 millis")
        yield* settle
        assert.strictEqual(server.asked.length, 1)
        yield* TestClock.adjust("10 millis")
        yield* Fiber.joinAll(calls)
        assert.strictEqual(server.asked.length, 3)
      })
    )
  }

  it.effect("fails a call whose own time is over before that, and may be interrupted", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response) =>
        refuse(response, 503, "unavailable", { "retry-after": "60" })
      )
      const { store } = yield* openAgent(server.url)
      yield* failureOf(store.stopRequests([run]))
      const call = yield* Effect.forkChild(failureOf(store.stopRequests([run])))
      const interrupted = yield* Effect.forkChild(store.stopRequests([run]), {
        startImmediately: true
      })
      yield* Fiber.interrupt(interrupted)
      yield* TestClock.adjust("5 seconds")
      assert.include(yield* Fiber.join(call), "in time")
      assert.strictEqual(server.asked.length, 1)
    })
  )

  it.effect(
    "takes the time to wait from a date by the server's own clock, ten seconds at most",
    () =>
      Effect.gen(function* () {
        const server = yield* scripted((response, _, index) =>
          index === 0
            ? refuse(response, 503, "unavailable", {
                date: "Mon, 23 Nov 2026 10:00:00 GMT",
                "retry-after": "Mon, 23 Nov 2026 10:00:02 GMT"
              })
            : index === 1
              ? refuse(response, 503, "unavailable", { "retry-after": "86400" })
              : json(response, 200, nothing)
        )
        const { store } = yield* openAgent(server.url, { requestTimeout: "1 day" })
        yield* failureOf(store.stopRequests([run]))
        const second = yield* Effect.forkChild(failureOf(store.stopRequests([run])))
        yield* TestClock.adjust("1990 millis")
        yield* settle
        assert.strictEqual(server.asked.length, 1)
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(second)
        const third = yield* Effect.forkChild(store.stopRequests([run]))
        yield* TestClock.adjust("9990 millis")
        yield* settle
        assert.strictEqual(server.asked.length, 2)
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(third)
      })
  )

  it.effect("renews leases, starts and ends runs also before that time", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response, { url }) =>
        url.endsWith("/look")
          ? refuse(response, 503, "unavailable", { "retry-after": "3600" })
          : url.endsWith("/lease")
            ? response.writeHead(204).end()
            : json(response, 200, { records: [] })
      )
      const { store } = yield* openAgent(server.url)
      yield* failureOf(store.stopRequests([run]))
      const lease = { owner: ProcessId.make("p"), ttl: Duration.seconds(30) }
      yield* store.renewLease(lease)
      yield* store.startRuns([run], lease)
      yield* store.advanceRuns([{ run, to: "completed" }])
      const sweep = yield* Effect.forkChild(store.sweepLost, { startImmediately: true })
      yield* settle
      assert.strictEqual(server.asked.length, 4)
      yield* Fiber.interrupt(sweep)
    })
  )

  it.effect("asks once for a new token when many calls are refused, and repeats each once", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { agents, seen } = server.tokens
      let asked = 0
      const { store } = yield* openAgent(server.url, {
        token: Effect.gen(function* () {
          asked++
          yield* Effect.yieldNow
          return Redacted.make(`token-${asked}\n`)
        })
      })
      const acme = agents.get("acme")
      if (acme === undefined) return assert.fail()
      agents.set("token-1", acme)
      yield* store.startRuns([run])
      agents.delete("token-1")
      agents.set("token-2", acme)
      yield* Effect.all(
        Array.from({ length: 20 }, () => store.stopRequests([run])),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(asked, 2)
      assert.strictEqual(seen.filter((token) => token === "token-1").length, 21)
      assert.strictEqual(seen.filter((token) => token === "token-2").length, 20)
    })
  )

  it.effect("goes on for the others when one who asked for a new token is interrupted", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      let asked = 0
      const { store } = yield* openAgent(server.url, {
        token: Effect.gen(function* () {
          asked++
          yield* Effect.sleep("1 second")
          return Redacted.make("acme")
        })
      })
      const first = yield* Effect.forkChild(store.stopRequests([run]), { startImmediately: true })
      const second = yield* Effect.forkChild(store.stopRequests([run]), { startImmediately: true })
      yield* settle
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.strictEqual(asked, 1)
    })
  )

  it.effect("gives up after the second refusal, and then asks for a token later and later", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      let issued = "garbled"
      let asked = 0
      const { store } = yield* openAgent(server.url, {
        token: Effect.sync(() => Redacted.make(asked++ === 0 ? "first" : issued))
      })
      // Twenty at once and one by one, who are refused as one would be.
      const ask = Effect.andThen(
        Effect.forEach(Array.from({ length: 20 }), () => failureOf(store.stopRequests([run])), {
          concurrency: "unbounded"
        }),
        failureOf(store.renewLease({ owner: ProcessId.make("p"), ttl: Duration.seconds(30) }))
      )
      assert.include(yield* failureOf(store.stopRequests([run])), "anew")
      assert.deepStrictEqual(server.tokens.seen, ["first", "garbled"])
      for (const [index, pause] of [1000, 2000, 4000, 8000, 10_000, 10_000].entries()) {
        yield* TestClock.adjust(pause - 1)
        assert.match(yield* ask, /401.* again later/)
        assert.strictEqual(asked, index + 2)
        yield* TestClock.adjust(1)
        yield* ask
        assert.strictEqual(asked, index + 3)
      }
      assert.isAtMost(server.requests().length, 2 + 6 * 20)
      // As soon as one is taken it begins anew.
      issued = "acme"
      yield* TestClock.adjust("10 seconds")
      yield* store.stopRequests([run])
      issued = "garbled"
      server.tokens.agents.delete("acme")
      const before = asked
      assert.include(yield* failureOf(store.stopRequests([run])), "anew")
      yield* TestClock.adjust("1 second")
      yield* failureOf(store.stopRequests([run]))
      assert.strictEqual(asked, before + 2)
    })
  )

  it.effect("asks nobody for a new token that is fixed", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { store } = yield* openAgent(server.url, { token: Redacted.make("expired") })
      assert.include(yield* failureOf(store.stopRequests([run])), "refuses the token (401)")
      assert.deepStrictEqual(server.tokens.seen, ["expired"])
    })
  )

  it.effect("says that there is no token, and not why", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const secret = "s3cret-of-the-vault"
      for (const token of [
        Effect.fail(secret),
        Effect.die(new Error(secret)),
        Effect.succeed(Redacted.make(`${secret}\r\nx: y`)),
        Effect.succeed(Redacted.make(" ")),
        Redacted.make(`${secret}é`)
      ]) {
        const { store } = yield* openAgent(server.url, { token })
        const message = yield* failureOf(store.stopRequests([run]))
        assert.match(message, /token/)
        assert.notInclude(message, secret)
      }
      assert.strictEqual(server.requests().length, 0)
    })
  )

  const odd: ReadonlyArray<readonly [title: string, says: string, answer: Answer]> = [
    [
      "a page with status 200",
      "no answer of an Agent API",
      (response) => {
        response.writeHead(200, { "content-type": "text/html" })
        response.end("<html>Log in</html>")
      }
    ],
    ["an empty body", "no answer of an Agent API", (response) => response.writeHead(200).end()],
    ["nothing at all", "answered 204", (response) => response.writeHead(204).end()],
    ["null", "no answer of an Agent API", (response) => json(response, 200, null)],
    ["an empty object", "no answer of an Agent API", (response) => json(response, 200, {})],
    [
      "a request that is none",
      "no answer of an Agent API",
      (response) =>
        json(response, 200, { ...nothing, requests: [{ run, request: { reason: "because" } }] })
    ],
    [
      "JSON that is cut",
      "no answer of an Agent API",
      (response) => response.writeHead(200).end(JSON.stringify(nothing).slice(0, -9))
    ],
    [
      "a body shorter than announced",
      "broke off",
      (response) => {
        response.writeHead(200, { "content-length": "1000" })
        response.write(JSON.stringify(nothing), () => response.destroy())
      }
    ],
    ["no answer", "No answer from", (response) => response.destroy()],
    ["an error of a proxy", "answered 502", (response) => response.writeHead(502).end("Bad")],
    ["a refusal of a proxy", "answered 403", (response) => response.writeHead(403).end("No")],
    ["no such page", "is AgentServer mounted", (response) => response.writeHead(404).end("No")],
    [
      "a redirect",
      "redirect",
      (response, { url }) =>
        url === "/elsewhere"
          ? json(response, 200, nothing)
          : response.writeHead(307, { location: "/elsewhere" }).end()
    ],
    [
      "a redirect to a page",
      "redirect",
      (response, { url }) =>
        url === "/elsewhere"
          ? response.writeHead(200).end("<html>")
          : response.writeHead(302, { location: "/elsewhere" }).end()
    ]
  ]
  for (const [title, says, answer] of odd) {
    it.effect(`takes ${title} for a failed call`, () =>
      Effect.gen(function* () {
        const server = yield* scripted(answer)
        const { store } = yield* openAgent(server.url)
        const calls: ReadonlyArray<Effect.Effect<unknown, MessageStoreError>> = [
          store.stopRequests([run]),
          store.startRuns([run]),
          store.advanceRuns([{ run, to: "completed" }]),
          store.sweepLost
        ]
        for (const call of calls) {
          assert.include(yield* failureOf(call), says)
        }
      })
    )
  }

  it.effect("takes a server that is not there for a failed call, and says where it was", () =>
    Effect.gen(function* () {
      const { store } = yield* openAgent(`http://127.0.0.1:${yield* freePort}/x/`)
      const error = yield* Effect.flip(store.stopRequests([run]))
      assert.include(messageOf(error), "/x")
      assert.include(messageOf(error), "ECONNREFUSED")
    })
  )

  it.effect("tells which run was not its own to start, and starts none", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { store } = yield* openAgent(server.url)
      const message = yield* failureOf(store.startRuns([run, runIn("other")]))
      assert.include(message, "403")
      assert.deepStrictEqual((yield* server.store.stopRequests([run])).gone.map(runKey), [
        runKey(run)
      ])
    })
  )

  it.effect("shows its token nowhere", () =>
    Effect.gen(function* () {
      const secret = "s3cret-t0ken"
      const told: Array<unknown> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          told.push(span)
          return span
        }
      })
      const logger = Logger.layer([Logger.make((entry) => told.push([entry.message, entry.cause]))])
      const server = yield* scripted((response, { url }, index) => {
        if (url.endsWith("/hints")) return response.writeHead(401).end()
        return index % 2 === 0 ? refuse(response, 401, "unauthenticated") : response.destroy()
      })
      yield* Effect.gen(function* () {
        const { store, signal } = yield* openAgent(server.url, {
          token: Effect.sync(() => Redacted.make(secret))
        })
        yield* Effect.forkScoped(Stream.runDrain(signal.hints))
        const calls: ReadonlyArray<Effect.Effect<unknown, MessageStoreError>> = [
          store.stopRequests([run]),
          store.startRuns([run]),
          store.sweepLost
        ]
        for (const call of calls) {
          const exit = yield* Effect.exit(call)
          assert.isTrue(Exit.isFailure(exit))
          if (Exit.isFailure(exit)) told.push(exit, Cause.pretty(exit.cause))
        }
        yield* until(
          Effect.sync(() => told.length),
          () => told.some((one) => inspect(one).includes("Hints of stops"))
        )
      }).pipe(Effect.provide(logger), Effect.withTracer(tracer))
      assert.isAbove(told.length, 8)
      assert.notInclude(inspect(told, { depth: null, showHidden: true }), secret)
      assert.isTrue(
        server.asked.every(({ headers }) => headers["authorization"] === `Bearer ${secret}`)
      )
    })
  )

  it.effect(
    "answers Unsupported for what people ask, and for what it is told the store lacks",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const { store } = yield* openAgent(server.url, { supports: { leases: false } })
        assert.isFalse(store.supports.leases)
        const lease = { owner: ProcessId.make("p"), ttl: Duration.seconds(1) }
        for (const call of [
          store.requestStop(stopOf(run), byUser),
          store.sweepLost,
          store.renewLease(lease)
        ]) {
          assert.strictEqual((yield* Effect.flip(call)).reason._tag, "Unsupported")
        }
        assert.strictEqual(server.requests().length, 0)
      })
  )

  const settings: ReadonlyArray<Partial<HttpMessageStore.HttpMessageStoreOptions>> = [
    { baseUrl: "" },
    { baseUrl: "/agent" },
    { baseUrl: "ftp://example.com" },
    { baseUrl: "https://user:s3cret@example.com" },
    { baseUrl: "https://example.com/?token=s3cret" },
    { requestTimeout: 0 },
    { requestTimeout: "-1 seconds" },
    { requestTimeout: Number.POSITIVE_INFINITY },
    { keepAlive: Number.NaN }
  ]
  for (const setting of settings) {
    it.effect(`dies of ${inspect(setting)}`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Layer.build(agentLayer("http://127.0.0.1:1", setting)))
        const told = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "it was built"
        assert.include(told, "InvalidSetting")
        assert.notInclude(told, "s3cret")
      })
    )
  }
})
