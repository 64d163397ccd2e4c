// What a long-lived process keeps of reads that are over: nothing.
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Semaphore from "effect/Semaphore"
import * as TestClock from "effect/testing/TestClock"
import { ChatId } from "effect-cancellation"
import { afterEach, vi } from "vitest"
import { makeKeyedPermits } from "../src/internal/keyedPermits.ts"
import { makePauses } from "../src/internal/pauses.ts"
import { makeSharedReads } from "../src/internal/sharedReads.ts"
import { ask, isList, json, ofChat, open, until } from "./store.fixture.ts"

/** The maps that something makes for itself. */
const mapsOf = <A>(make: () => A) => {
  const maps: Array<Map<unknown, unknown>> = []
  const Whole = globalThis.Map
  vi.stubGlobal(
    "Map",
    class<K, V> extends Whole<K, V> {
      constructor() {
        super()
        maps.push(this)
      }
    }
  )
  const made = make()
  vi.unstubAllGlobals()
  assert.isAbove(maps.length, 0)
  return { made, left: () => maps.reduce((sum, { size }) => sum + size, 0) }
}

afterEach(() => void vi.unstubAllGlobals())

describe("nothing is kept", () => {
  it.effect("of keys whose work has ended, failed, was left in its turn or before it", () =>
    Effect.gen(function* () {
      const { left, made: permits } = mapsOf(() => makeKeyedPermits(1))
      yield* permits("done")(Effect.void)
      yield* Effect.exit(permits("failed")(Effect.fail("no")))
      const fibers = yield* Effect.forEach(["a", "a", "b"], (key) =>
        Effect.forkChild(permits(key)(Effect.never), { startImmediately: true })
      )
      assert.strictEqual(left(), 2)
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual(left(), 0)
    })
  )

  it.effect("of reads that have begun, were left before that, or failed", () =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const turns = Semaphore.makeUnsafe(1)
      const answer = yield* Deferred.make<number, string>()
      const { left, made: read } = mapsOf(() =>
        makeSharedReads<string, number, string>({
          scope,
          keyOf: (key) => key,
          inTurn: () => (call) => turns.withPermit(call),
          read: () => Deferred.await(answer)
        })
      )
      const start = (key: string) => Effect.forkChild(read(key), { startImmediately: true })
      const first = yield* start("first")
      yield* Effect.yieldNow
      const waits = [yield* start("a"), yield* start("a"), yield* start("b")]
      assert.strictEqual(left(), 2)
      yield* Fiber.interruptAll(waits)
      assert.strictEqual(left(), 0)
      const fails = yield* start("a")
      yield* Deferred.fail(answer, "no")
      yield* Effect.forEach([first, fails], (fiber) => Fiber.await(fiber))
      assert.strictEqual(left(), 0)
    }).pipe(Effect.scoped)
  )

  it.effect("of pauses but for a minute, and nothing where there was none", () =>
    Effect.gen(function* () {
      const { left, made: pauses } = mapsOf(() => makePauses())
      const placeOf = (chat: number) => ({ chatId: ChatId.make(`chat ${chat}`) })
      const saw = (chat: number, status: number) =>
        pauses.saw(placeOf(chat), { status, headers: {} as never })
      for (let chat = 0; chat < 100; chat++) {
        yield* pauses.pass(placeOf(chat))
        yield* saw(chat, 200)
      }
      assert.strictEqual(left(), 0)
      for (let chat = 0; chat < 100; chat++) yield* saw(chat, 403)
      assert.strictEqual(left(), 100)
      yield* TestClock.adjust("62 seconds")
      yield* saw(0, 403)
      assert.strictEqual(left(), 1)
      yield* TestClock.adjust("2 seconds")
      yield* saw(0, 200)
      assert.strictEqual(left(), 0)
    })
  )

  it.live("of looks: no fiber goes on", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ concurrency: 8 })
      const runs = ["one", "two", "three", "gone", "odd", "hangs"].map((chatId) => add({ chatId }))
      platform.respond((request) =>
        ofChat("hangs")(request)
          ? "hang"
          : ofChat("odd")(request)
            ? json(200, {})
            : isList(request) && ofChat("gone")(request)
              ? json(200, { object: "list", data: [] })
              : undefined
      )
      let alive = 0
      const counted = Effect.provideService(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => {
          alive++
        },
        recordFiberEnd: () => {
          alive--
        }
      })
      yield* Effect.gen(function* () {
        const before = alive
        assert.deepStrictEqual(yield* ask(store, runs.slice(0, 5)), [
          "running",
          "running",
          "running",
          "running",
          "failed"
        ])
        // A read of its own ends just after those who asked for it.
        yield* until(() => alive === before)
        const left = yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkChild(ask(store, runs), { startImmediately: true })
        )
        yield* platform.received(ofChat("hangs"))
        assert.isAbove(alive, before)
        yield* Fiber.interruptAll(left)
        yield* until(() => alive === before)
      }).pipe(counted)
    }).pipe(Effect.scoped)
  )
})
