import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { HttpRouter } from "effect/http"
import { HttpApi, HttpApiBuilder, OpenApi } from "effect/http-api"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import {
  MalformedRow,
  MessageStore,
  MessageStoreError,
  ProcessId,
  runKey,
  unavailable,
  unsupported
} from "effect-cancellation"
import { until } from "../../sql/test/support/until.ts"
import { AgentApi, AgentHttpApi } from "../src/AgentApi.ts"
import * as AgentServer from "../src/AgentServer.ts"
import { StopHttpApi } from "../src/StopApi.ts"
import { makeTokens, openAgent, post, runIn, startServer } from "./support/agentFixture.ts"
import { openServer } from "./support/server.ts"

const run = runIn("acme")

/** A store that is as usual but for what is said. */
const storeWith = (change: (store: MessageStore["Service"]) => Partial<MessageStore["Service"]>) =>
  Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) => ({ ...store, ...change(store) }))
  ).pipe(Layer.provide(MessageStore.layerMemory()))

const secret = "password-of-the-database"

/** A server whose store answers no look, and how many looks hang there. */
const startHanging = Effect.gen(function* () {
  let count = 0
  const server = yield* startServer({
    backing: storeWith(() => ({
      stopRequests: () =>
        Effect.acquireUseRelease(
          Effect.sync(() => count++),
          () => Effect.never,
          () => Effect.sync(() => count--)
        )
    }))
  })
  return { server, hanging: Effect.sync(() => count) }
})

describe("the server of the Agent API", () => {
  it.effect("is a group of an API of one's own, below its prefix", () =>
    Effect.gen(function* () {
      class Api extends HttpApi.make("test").add(AgentApi.prefix("/internal")) {}
      const server = createServer()
      yield* Layer.build(
        HttpRouter.serve(HttpApiBuilder.layer(Api).pipe(Layer.provide(AgentServer.group(Api))), {
          disableLogger: true,
          disableListenLog: true
        }).pipe(
          Layer.provide([makeTokens().layer, MessageStore.layerMemory()]),
          Layer.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" }))
        )
      )
      const { port } = server.address() as AddressInfo
      const { store } = yield* openAgent(`http://127.0.0.1:${port}/internal/`)
      const [record] = yield* store.startRuns([run])
      assert.strictEqual(record && runKey(record.run), runKey(run))
    })
  )

  it.effect("stands below the prefix it is given", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ prefix: "/internal" })
      const { store } = yield* openAgent(`${server.url}/internal`)
      assert.lengthOf(yield* store.startRuns([run]), 1)
      assert.strictEqual((yield* post(server.url, "acme", "/agent/look", { runs: [] })).status, 404)
    })
  )

  it("is described by its own document, and is no part of the Stop API", () => {
    const paths = (document: OpenApi.OpenAPISpec) =>
      Object.keys(document.paths).filter((path) => path.includes("agent"))
    assert.deepStrictEqual(paths(OpenApi.fromApi(AgentHttpApi)), [
      "/agent/look",
      "/agent/start",
      "/agent/advance",
      "/agent/lease",
      "/agent/sweep",
      "/agent/hints"
    ])
    assert.deepStrictEqual(paths(OpenApi.fromApi(AgentServer.apiAt("/x"))).length, 6)
    assert.deepStrictEqual(paths(OpenApi.fromApi(StopHttpApi)), [])
  })

  it.live("is nowhere on a server of the Stop API", () =>
    Effect.gen(function* () {
      const stops = yield* openServer()
      for (const path of ["/agent/look", "/agent/start", "/agent/hints"]) {
        for (const token of ["acme", "ada"]) {
          const url = `http://127.0.0.1:${stops.port}`
          assert.strictEqual((yield* post(url, token, path, { runs: [] })).status, 404, path)
        }
      }
    })
  )

  const failures: ReadonlyArray<
    readonly [
      title: string,
      error: MessageStoreError,
      status: number,
      tag: MessageStoreError["reason"]["_tag"]
    ]
  > = [
    ["is away", unavailable("x", new Error(secret)), 503, "StoreUnavailable"],
    ["cannot do it", unsupported("x"), 501, "Unsupported"],
    [
      "has a row that it cannot have",
      new MessageStoreError({ reason: new MalformedRow({ detail: secret }) }),
      500,
      "StoreUnavailable"
    ]
  ]
  for (const [title, error, status, tag] of failures) {
    it.effect(`answers ${status} if its store ${title}, and not what that said`, () =>
      Effect.gen(function* () {
        const fail = Effect.fail(error)
        const server = yield* startServer({
          sweepAfter: 0,
          backing: storeWith((store) => ({
            stopRequests: () => fail,
            startRuns: () => fail,
            advanceRuns: () => fail,
            renewLease: (lease) =>
              lease.owner.endsWith(":healthy") ? store.renewLease(lease) : fail,
            sweepLost: fail
          }))
        })
        const leases = [{ owner: "p", ttl: 1000 }]
        yield* post(server.url, "acme", "/agent/lease", {
          leases: [{ owner: "healthy", ttl: 1000 }]
        })
        for (const [path, body] of [
          ["/agent/look", { runs: [run] }],
          ["/agent/start", { runs: [run] }],
          ["/agent/advance", { changes: [{ run, to: "completed" }] }],
          ["/agent/sweep", {}],
          ["/agent/lease", { leases }]
        ] as const) {
          const answer = yield* post(server.url, "acme", path, body)
          assert.strictEqual(answer.status, status, path)
          assert.strictEqual(answer.headers.get("retry-after"), status === 503 ? "1" : null)
          assert.notInclude(answer.text, secret)
        }
        const { store } = yield* openAgent(server.url)
        const told = yield* Effect.flip(store.advanceRuns([{ run, to: "completed" }]))
        assert.strictEqual(told.reason._tag, tag)
        assert.include(told.message, status === 501 ? "does not support" : String(status))
      })
    )
  }

  it.effect("tells which rows cannot be read, without what the database said", () =>
    Effect.gen(function* () {
      const [malformed, away, fine] = [runIn("acme"), runIn("acme"), runIn("acme")]
      const server = yield* startServer({
        backing: storeWith((store) => ({
          stopRequests: (runs) =>
            Effect.map(store.stopRequests(runs), (look) => ({
              ...look,
              failures: [
                {
                  run: malformed,
                  error: new MessageStoreError({
                    reason: new MalformedRow({ detail: "reason is no reason" })
                  })
                },
                { run: away, error: unavailable("stopRequests", new Error(secret)) },
                // Never its own, whatever a store says.
                { run: runIn("other"), error: unsupported("x") }
              ]
            }))
        }))
      })
      const { store } = yield* openAgent(server.url)
      const look = yield* store.stopRequests([malformed, away, fine])
      assert.deepStrictEqual(
        look.failures.map(({ error, run }) => [runKey(run), error.reason._tag]),
        [
          [runKey(malformed), "MalformedRow"],
          [runKey(away), "StoreUnavailable"]
        ]
      )
      assert.include(look.failures[0]?.error.message, "reason is no reason")
      assert.notInclude(look.failures[1]?.error.message, secret)
    })
  )

  it.effect("asks its store of nothing that is not the agent's", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const server = yield* startServer({
        backing: storeWith((store) => ({
          stopRequests: (runs) => {
            asked.push(...runs.map(runKey))
            return store.stopRequests(runs)
          },
          advanceRuns: (changes) => {
            asked.push(...changes.map(({ run }) => runKey(run)))
            return store.advanceRuns(changes)
          }
        }))
      })
      const { store } = yield* openAgent(server.url)
      const strange = runIn("other")
      yield* store.stopRequests([strange, run])
      yield* store.advanceRuns([{ run: strange, to: "completed" }])
      yield* store.advanceRuns([
        { run: strange, to: "completed" },
        { run, to: "completed" }
      ])
      assert.deepStrictEqual(asked, [runKey(run), runKey(run)])
    })
  )

  it.effect("answers 503 when its store hangs, and ends what it asked", () =>
    Effect.gen(function* () {
      const { hanging, server } = yield* startHanging
      const asking = yield* Effect.forkChild(
        post(server.url, "acme", "/agent/look", { runs: [run] })
      )
      yield* until(hanging, (count) => count === 1)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(asking)).status, 503)
      assert.strictEqual(yield* hanging, 0)
    })
  )

  it.effect("gives its store one time for all the leases of a request", () =>
    Effect.gen(function* () {
      let begun = 0
      const server = yield* startServer({
        backing: storeWith(() => ({
          renewLease: () =>
            Effect.andThen(
              Effect.sync(() => begun++),
              Effect.sleep("3 seconds")
            )
        }))
      })
      const leases = Array.from({ length: 100 }, (_, index) => ({
        owner: `p-${index}`,
        ttl: 30_000
      }))
      const asking = yield* Effect.forkChild(post(server.url, "acme", "/agent/lease", { leases }))
      yield* until(
        Effect.sync(() => begun),
        (count) => count > 0
      )
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asking)).status, 503)
      assert.isBelow(begun, leases.length)
    })
  )

  it.effect("renews all the leases of a request", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const runs = [runIn("acme"), runIn("acme")]
      const lease = (index: number) => ({ owner: `p-${index}`, ttl: 30_000 })
      for (const [index, one] of runs.entries()) {
        yield* post(server.url, "acme", "/agent/start", { runs: [one], lease: lease(index) })
      }
      const lost = Effect.andThen(
        server.store.sweepLost,
        Effect.map(server.store.stopRequests(runs), (look) => look.lost.length)
      )
      yield* TestClock.adjust("20 seconds")
      const { status } = yield* post(server.url, "acme", "/agent/lease", {
        leases: runs.map((_, index) => lease(index))
      })
      assert.strictEqual(status, 204)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* lost, 0)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* lost, 2)
    })
  )

  it.effect("ends what it asked of its store when the agent is gone", () =>
    Effect.gen(function* () {
      const { hanging, server } = yield* startHanging
      const { store } = yield* openAgent(server.url)
      const asking = yield* Effect.forkChild(store.stopRequests([run]))
      yield* until(hanging, (count) => count === 1)
      yield* Fiber.interrupt(asking)
      yield* until(hanging, (count) => count === 0)
    })
  )

  it.effect(
    "starts runs without a lease where its store keeps none, and says that it keeps none",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer({
          backing: storeWith((store) => ({
            supports: { ...store.supports, leases: false },
            startRuns: (runs, lease) =>
              lease === undefined ? store.startRuns(runs) : Effect.die("there are no leases"),
            renewLease: () => Effect.fail(unsupported("renewLease")),
            sweepLost: Effect.fail(unsupported("sweepLost"))
          }))
        })
        const { store } = yield* openAgent(server.url)
        const lease = { owner: ProcessId.make("p"), ttl: Duration.seconds(30) }
        const [record] = yield* store.startRuns([run], lease)
        assert.isDefined(record)
        assert.isUndefined(record?.owner)
        for (const call of [store.renewLease(lease), Effect.asVoid(store.sweepLost)]) {
          assert.strictEqual((yield* Effect.flip(call)).reason._tag, "Unsupported")
        }
      })
  )

  for (const options of [
    { maxBody: 0 },
    { maxBody: 1.5 },
    { bodyTimeout: 0 },
    { maxLeaseTtl: "-1 seconds" },
    { maxLeaseTtl: "1 second", minLeaseTtl: "2 seconds" },
    { minLeaseTtl: 0 },
    { sweepAfter: "-1 seconds" },
    { storeTimeout: 0 },
    { keepAlive: Number.NaN },
    { maxHints: Number.POSITIVE_INFINITY },
    { maxUnread: 0 }
  ] as const) {
    it.effect(`dies of ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Effect.scoped(startServer(options)))
        assert.include(String(Exit.isFailure(exit) ? exit.cause : "built"), "InvalidSetting")
      })
    )
  }
})
