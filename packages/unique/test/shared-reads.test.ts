// Who shares a read, who never does, and when one ends that nobody waits for.
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { MessageStore } from "effect-cancellation"
import { FetchHttpClient, HttpClient } from "effect/http"
import { UniquePlatform } from "../src/index.ts"
import { makeKeyedPermits } from "../src/internal/keyedPermits.ts"
import { makeSharedReads } from "../src/internal/sharedReads.ts"
import {
  ask,
  begin,
  eve,
  isFind,
  isList,
  json,
  ofChat,
  open,
  openPorts,
  openRepo,
  runOf,
  until
} from "./store.fixture.ts"
import { startPlatform } from "./support/PlatformServer.ts"

/** Reads that the test answers one by one, so many at a time. */
const openReads = Effect.fnUntraced(function* (permits = 1) {
  const scope = yield* Effect.scope
  const turns = Semaphore.makeUnsafe(permits)
  const begun = yield* Queue.unbounded<{
    readonly key: string
    readonly answer: Deferred.Deferred<number, string>
  }>()
  const ended: Array<string> = []
  const ask = makeSharedReads<string, number, string>({
    scope,
    keyOf: (key) => key,
    inTurn: () => (read) => turns.withPermit(read),
    read: (key) =>
      Effect.gen(function* () {
        const answer = yield* Deferred.make<number, string>()
        yield* Queue.offer(begun, { key, answer })
        return yield* Deferred.await(answer)
      }).pipe(Effect.onExit((exit) => Effect.sync(() => ended.push(`${key} ${exit._tag}`))))
  })
  const start = (key: string) => Effect.forkChild(ask(key), { startImmediately: true })
  return { ask, start, ended, next: Queue.take(begun), left: Queue.size(begun), turns }
})

describe("reads that wait for their turn", () => {
  it.effect("are one for all who ask for the same meanwhile", () =>
    Effect.gen(function* () {
      const { left, next, start } = yield* openReads()
      const first = yield* start("busy")
      const { answer: busy } = yield* next
      const fibers = yield* Effect.forEach([1, 2, 3], () => start("chat"))
      const other = yield* start("other")
      yield* Deferred.succeed(busy, 0)
      assert.strictEqual(yield* Fiber.join(first), 0)
      const shared = yield* next
      assert.strictEqual(shared.key, "chat")
      // Begun by now: nobody joins it any more.
      const late = yield* start("chat")
      yield* Deferred.succeed(shared.answer, 1)
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [1, 1, 1])
      const second = yield* next
      assert.strictEqual(second.key, "other")
      // One that is over takes none with it that waits.
      const later = yield* start("chat")
      yield* Deferred.succeed(second.answer, 2)
      assert.strictEqual(yield* Fiber.join(other), 2)
      const third = yield* next
      assert.strictEqual(third.key, "chat")
      yield* Deferred.succeed(third.answer, 3)
      assert.deepStrictEqual(yield* Effect.forEach([late, later], Fiber.join), [3, 3])
      assert.strictEqual(yield* left, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("fail for all, and for nobody who asks afterwards", () =>
    Effect.gen(function* () {
      const { next, start } = yield* openReads()
      const first = yield* start("busy")
      const busy = yield* next
      const fibers = yield* Effect.forEach([1, 2], () => start("chat"))
      yield* Deferred.succeed(busy.answer, 0)
      yield* Fiber.join(first)
      yield* Deferred.fail((yield* next).answer, "no")
      for (const fiber of fibers) {
        assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), "no")
      }
      const again = yield* start("chat")
      yield* Deferred.succeed((yield* next).answer, 2)
      assert.strictEqual(yield* Fiber.join(again), 2)
    }).pipe(Effect.scoped)
  )

  it.effect("go on while one who asked is left, and are never begun for nobody", () =>
    Effect.gen(function* () {
      const { ended, left, next, start } = yield* openReads()
      const first = yield* start("busy")
      const busy = yield* next
      const [gone, stays, alone] = [
        yield* start("chat"),
        yield* start("chat"),
        yield* start("left alone")
      ]
      yield* Fiber.interrupt(gone)
      yield* Fiber.interrupt(alone)
      yield* Deferred.succeed(busy.answer, 0)
      yield* Fiber.join(first)
      const { answer, key } = yield* next
      assert.strictEqual(key, "chat")
      yield* Deferred.succeed(answer, 1)
      assert.strictEqual(yield* Fiber.join(stays), 1)
      // Who asks for it again begins it anew.
      const again = yield* start("left alone")
      yield* Deferred.succeed((yield* next).answer, 2)
      assert.strictEqual(yield* Fiber.join(again), 2)
      assert.strictEqual(yield* left, 0)
      assert.deepStrictEqual(ended, ["busy Success", "chat Success", "left alone Success"])
    }).pipe(Effect.scoped)
  )

  it.effect("end under way with the last who asked, and give their turn on", () =>
    Effect.gen(function* () {
      const { ended, next, start, turns } = yield* openReads()
      const busyFiber = yield* start("busy")
      const busy = yield* next
      const fibers = yield* Effect.forEach([1, 2], () => start("chat"))
      yield* Deferred.succeed(busy.answer, 0)
      yield* Fiber.join(busyFiber)
      yield* next
      const [one, two] = fibers
      assert.isDefined(one)
      assert.isDefined(two)
      yield* Fiber.interrupt(one)
      const waits = yield* start("other")
      assert.deepStrictEqual(ended, ["busy Success"])
      yield* Fiber.interrupt(two)
      yield* Deferred.succeed((yield* next).answer, 3)
      assert.strictEqual(yield* Fiber.join(waits), 3)
      assert.deepStrictEqual(ended, ["busy Success", "chat Failure", "other Success"])
      assert.isTrue(Option.isSome(yield* turns.withPermitsIfAvailable(1)(Effect.void)))
    }).pipe(Effect.scoped)
  )

  it.effect("end with their scope, and whoever waits for them does too", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { next, start } = yield* Scope.provide(openReads(), scope)
      const fibers = [yield* start("busy"), yield* start("chat")]
      yield* next
      yield* Scope.close(scope, Exit.void)
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      }
    })
  )

  it.effect("end for who asks when their scope is closed, or closes before they begin", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { ask, left, start } = yield* Scope.provide(openReads(), scope)
      const early = yield* start("chat")
      yield* Scope.close(scope, Exit.void)
      for (const fiber of [early, yield* Effect.forkChild(ask("chat"))]) {
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      }
      assert.strictEqual(yield* left, 0)
    })
  )

  it.effect("are each begun, where there is a turn for each", () =>
    Effect.gen(function* () {
      const { next, start } = yield* openReads(3)
      const fibers = []
      for (const answer of [1, 2, 3]) {
        fibers.push(yield* start("chat"))
        const read = yield* next
        yield* Deferred.succeed(read.answer, answer)
      }
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [1, 2, 3])
    }).pipe(Effect.scoped)
  )
})

describe("permits by key", () => {
  it.effect("are so many for each key, and are given back however it ends", () =>
    Effect.gen(function* () {
      const permits = makeKeyedPermits(2)
      const running = { a: 0, b: 0 }
      const most = { a: 0, b: 0 }
      const gate = yield* Deferred.make<void>()
      const work = (key: "a" | "b") =>
        Effect.sync(() => {
          most[key] = Math.max(most[key], ++running[key])
        }).pipe(
          Effect.andThen(Deferred.await(gate)),
          Effect.ensuring(Effect.sync(() => void running[key]--)),
          permits(key)
        )
      const of = (key: "a" | "b") =>
        Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(work(key), { startImmediately: true }))
      const [one, two] = [yield* of("a"), yield* of("b")]
      yield* Effect.yieldNow
      assert.deepStrictEqual(running, { a: 2, b: 2 })
      const [first, , third] = one
      assert.isDefined(first)
      assert.isDefined(third)
      // One that waits, and one that has its turn.
      yield* Fiber.interrupt(third)
      yield* Fiber.interrupt(first)
      yield* Effect.yieldNow
      assert.strictEqual(running.a, 2)
      // Who comes then waits with those who were there.
      const later = yield* of("a")
      yield* Effect.yieldNow
      assert.strictEqual(running.a, 2)
      yield* Deferred.succeed(gate, undefined)
      for (const fiber of [...one, ...two, ...later]) yield* Fiber.await(fiber)
      assert.deepStrictEqual(running, { a: 0, b: 0 })
      assert.deepStrictEqual(most, { a: 2, b: 2 })
      yield* permits("a")(Effect.void)
      yield* Effect.exit(permits("a")(Effect.fail("no")))
      yield* permits("a")(Effect.void)
    })
  )
})

describe("on the platform", () => {
  it.live("a look is one request a chat, however many messages are watched", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const runs = [
        ...Array.from({ length: 40 }, () => add()),
        ...Array.from({ length: 3 }, () => add({ chatId: "other" })),
        // The same name, of another tenant and of another user.
        add(eve),
        add({ userId: "user_bob" })
      ]
      platform.stopMessage(runs[7]?.ref.messageId ?? "")
      assert.deepStrictEqual(
        yield* ask(store, runs),
        runs.map((_, index) => (index === 7 ? "stopped" : "running"))
      )
      assert.deepStrictEqual(
        platform.requests
          .map(({ headers, method, path, query }) =>
            [method, path.replace(/.*\/chat-gen2/, ""), query["chatId"], headers["x-user-id"]].join(
              " "
            )
          )
          .toSorted((one, other) => one.localeCompare(other)),
        [
          "GET /messages chat user_ada",
          "GET /messages chat user_bob",
          "GET /messages chat user_eve",
          "GET /messages other user_ada"
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.live("checks of a chat share a request while it waits, and miss no stop pressed before", () =>
    Effect.gen(function* () {
      // A company has one turn.
      const { add, platform, store } = yield* open({ concurrency: 4 })
      const [busy, run, mate] = [add({ chatId: "busy" }), add(), add()]
      platform.latency = (request) => (ofChat("busy")(request) ? 60_000 : 0)
      const first = yield* Effect.forkChild(ask(store, [busy]))
      yield* platform.received(ofChat("busy"))
      const checks = yield* Effect.forEach([run, mate, run, mate, run], (one) =>
        Effect.forkChild(ask(store, [one]), { startImmediately: true })
      )
      platform.stopMessage(run.ref.messageId)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual((yield* Effect.forEach(checks, Fiber.join)).flat(), [
        "stopped",
        "running",
        "stopped",
        "running",
        "stopped"
      ])
      assert.strictEqual(platform.requests.filter(ofChat("chat")).length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a check gets no answer of a read that had begun before it", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ pollTimeout: "10 seconds" })
      const repo = yield* openRepo(store)
      const run = add()
      const { watcher } = yield* begin(repo, { ref: run.ref, pollInterval: "1 hour" })
      yield* watcher.check
      platform.clear()
      // What it answers was read before the stop, and arrives after it.
      let asked = 0
      platform.latency = () => (++asked === 1 ? 60_000 : 0)
      const before = yield* Effect.forkChild(ask(store, [run]))
      yield* platform.received(isList)
      platform.stopMessage(run.ref.messageId)
      assert.isTrue(yield* watcher.check)
      assert.deepStrictEqual(yield* ask(store, [run]), ["stopped"])
      assert.isUndefined(before.pollUnsafe())
      assert.strictEqual(platform.requests.length, 3)
      yield* Fiber.interrupt(before)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.live("a read that is left ends its connection, and a shared one with the last who asked", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ concurrency: 4 })
      const [busy, run] = [add({ chatId: "busy" }), add()]
      platform.respond(() => "hang")
      const first = yield* Effect.forkChild(ask(store, [busy]))
      const busyRequest = yield* platform.received(ofChat("busy"))
      const checks = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(ask(store, [run]), { startImmediately: true })
      )
      const waits = yield* Effect.forkChild(ask(store, [add({ chatId: "third" })]), {
        startImmediately: true
      })
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* busyRequest.over, "left")
      const shared = yield* platform.received(ofChat("chat"))
      const [one, two] = checks
      assert.isDefined(one)
      assert.isDefined(two)
      const over = yield* Effect.forkChild(shared.over, { startImmediately: true })
      yield* Fiber.interrupt(one)
      assert.isUndefined(over.pollUnsafe())
      assert.isFalse(platform.requests.some(ofChat("third")))
      yield* Fiber.interrupt(two)
      assert.strictEqual(yield* Fiber.join(over), "left")
      // The turn has gone on to the next.
      const third = yield* platform.received(ofChat("third"))
      yield* Fiber.interrupt(waits)
      assert.strictEqual(yield* third.over, "left")
    }).pipe(Effect.scoped)
  )

  it.live("a read of one message ends with who asked", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const run = add()
      platform.respond((request) =>
        isFind(request) ? "hang" : json(200, { object: "list", data: [] })
      )
      const fiber = yield* Effect.forkChild(ask(store, [run]))
      const request = yield* platform.received(isFind)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* request.over, "left")
    }).pipe(Effect.scoped)
  )

  it.live("a read ends with who asked in the middle of its answer", () =>
    Effect.gen(function* () {
      const platform = yield* startPlatform()
      const { id } = platform.add({ ...eve, chatId: "chat" })
      const arrived = yield* Deferred.make<void>()
      const Client = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(
          HttpClient.HttpClient,
          HttpClient.tap(() => Deferred.succeed(arrived, undefined))
        )
      ).pipe(Layer.provide(FetchHttpClient.layer))
      const ports = UniquePlatform.layer({
        apiKey: Redacted.make(platform.apiKey),
        appId: Redacted.make(platform.appId),
        baseUrl: platform.baseUrl
      }).pipe(Layer.provide(Client))
      const store = Context.get(yield* Layer.build(Layer.fresh(ports)), MessageStore)
      platform.respond(() => ({ status: 200, body: "{", headers: { "content-length": "1000" } }))
      const fiber = yield* Effect.forkChild(ask(store, [runOf({ ...eve, chatId: "chat", id })]))
      yield* Deferred.await(arrived)
      assert.strictEqual(platform.openConnections, platform.connections)
      yield* Fiber.interrupt(fiber)
      yield* until(() => platform.openConnections < platform.connections)
    }).pipe(Effect.scoped)
  )

  it.live("closing the layer ends what is under way", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const platform = yield* startPlatform()
      const { store } = yield* Scope.provide(openPorts(platform), scope)
      platform.respond(() => "hang")
      const run = runOf({ ...eve, chatId: "chat", id: "m" })
      const fiber = yield* Effect.forkChild(ask(store, [run]))
      const request = yield* platform.received(isList)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* request.over, "left")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
    }).pipe(Effect.scoped)
  )
})
