import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Fault } from "effect-cancellation-testing"
import { makeMemoryLimiter } from "../src/internal/memoryLimiter.ts"
import { openStops, pathsOf, runOf } from "./support/stops.ts"

const rateLimit = { limit: 2, window: "1 hour" } as const

const runs = ["a", "b", "c"].map((chatId) => runOf({ chatId }))

const press = (stops: Effect.Success<ReturnType<typeof openStops>>) =>
  Effect.forEach(runs, (run) =>
    Effect.map(stops.send("POST", pathsOf(run).stop, { as: "ada" }), ({ status }) => status)
  )

const broken = (consume: RateLimiter.RateLimiter["consume"]) =>
  Effect.map(Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory), (limiter) =>
    Layer.succeed(RateLimiter.RateLimiter, { ...limiter, consume })
  )

describe("the limit of new stops", () => {
  const memory = Effect.runSync(
    Effect.cached(Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory))
  )

  it.live("is counted by the rate limiter of the context, for all who share it", () =>
    Effect.gen(function* () {
      const limiter = yield* Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)
      const shared = Layer.succeed(RateLimiter.RateLimiter, limiter)
      const one = yield* openStops({ rateLimit, limiter: shared })
      const other = yield* openStops({ rateLimit, limiter: shared })
      for (const stops of [one, other]) yield* stops.start(...runs)
      assert.deepStrictEqual(yield* press(one), [202, 202, 429])
      // the first two are repeated here, and that is free
      assert.deepStrictEqual(yield* press(other), [202, 202, 429])
      const more = runOf({ chatId: "more" })
      yield* other.start(more)
      const response = yield* other.send("POST", pathsOf(more).stop, { as: "ada" })
      assert.strictEqual(response.status, 429)
    }).pipe(Effect.scoped)
  )

  it.live("is asked of all the runs in a chat at once, before they are stopped and elsewhere", () =>
    Effect.gen(function* () {
      const all = Array.from({ length: 40 }, (_, index) => runOf({ messageId: `m-${index}` }))
      const inner = yield* Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)
      let asked = 0
      let complete = yield* Deferred.make<void>()
      // It answers of none until it was asked of all.
      const limiter = yield* broken((one) =>
        Effect.suspend(() => {
          if (!one.key.startsWith("asked:")) return inner.consume(one)
          asked += 1
          if (asked === all.length) Deferred.doneUnsafe(complete, Effect.void)
          return Effect.andThen(Deferred.await(complete), inner.consume(one))
        })
      )
      // The second server may ask no more, and finds that these were asked before.
      for (const server of ["one", "other"]) {
        asked = 0
        complete = yield* Deferred.make<void>()
        const stops = yield* openStops({ rateLimit: { limit: 1, window: "1 hour" }, limiter })
        yield* stops.start(...all)
        const response = yield* stops.send("POST", pathsOf(runOf()).chat, { as: "ada" })
        assert.strictEqual(response.status, 202, server)
        assert.strictEqual(asked, all.length, server)
      }
    }).pipe(Effect.scoped)
  )

  it.live("is each server's own by default", () =>
    Effect.gen(function* () {
      for (let server = 0; server < 2; server++) {
        const stops = yield* openStops({ rateLimit })
        yield* stops.start(...runs)
        assert.deepStrictEqual(yield* press(stops), [202, 202, 429])
      }
    }).pipe(Effect.scoped)
  )

  it.live("counts a double click once, and what could not be stored once", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ rateLimit: { limit: 1, window: "1 hour" } })
      const [run, other] = runs
      if (!run || !other) throw new Error("There are three")
      yield* stops.start(run, other)
      const press = Effect.map(
        stops.send("POST", pathsOf(run).stop, { as: "ada" }),
        ({ status }) => status
      )
      // all look before one of them has stored it
      yield* stops.faults.set({ findRuns: Fault.slow("20 millis"), requestStop: Fault.fail })
      const clicks = yield* Effect.all([press, press, press], { concurrency: "unbounded" })
      assert.deepStrictEqual(clicks, [503, 503, 503])
      yield* stops.faults.heal
      assert.strictEqual(yield* press, 202)
      const refused = yield* stops.send("POST", pathsOf(other).stop, { as: "ada" })
      assert.strictEqual(refused.status, 429)
      // who was refused has not paid for the next try either
      const again = yield* stops.send("POST", pathsOf(other).stop, { as: "ada" })
      assert.strictEqual(again.status, 429)
    }).pipe(Effect.scoped)
  )

  it.live("is met by both clicks of a double click, or by none, however slow it is counted", () =>
    Effect.gen(function* () {
      const limiter = yield* broken((asked) =>
        Effect.delay(
          Effect.flatMap(memory, (inner) => inner.consume(asked)),
          "5 millis"
        )
      )
      const stops = yield* openStops({ rateLimit: { limit: 1, window: "1 hour" }, limiter })
      yield* stops.start(...runs)
      const answers = yield* Effect.forEach(runs, (run) => {
        const click = Effect.map(
          stops.send("POST", pathsOf(run).stop, { as: "ada" }),
          ({ status }) => status
        )
        return Effect.all([click, click], { concurrency: "unbounded" })
      })
      assert.deepStrictEqual(answers, [
        [202, 202],
        [429, 429],
        [429, 429]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("does not refuse a press on a chat of which only a part could be stopped", () =>
    Effect.gen(function* () {
      const stops = yield* openStops({ rateLimit: { limit: 1, window: "1 hour" } })
      const [older, newer] = ["older", "newer"].map((messageId) => runOf({ messageId }))
      if (!older || !newer) throw new Error("There are two")
      yield* stops.start(older, newer)
      yield* stops.faults.set({ requestStop: Fault.fail })
      const { chat } = pathsOf(older)
      assert.strictEqual((yield* stops.send("POST", chat, { as: "ada" })).status, 503)
      yield* stops.faults.heal
      yield* stops.send("POST", pathsOf(newer).stop, { as: "root" })
      assert.strictEqual((yield* stops.send("POST", chat, { as: "ada" })).status, 202)
      assert.isDefined((yield* stops.record(older))?.request)
    }).pipe(Effect.scoped)
  )

  it.live("stops the others of a chat when one of them cannot be stopped", () =>
    Effect.gen(function* () {
      const stops = yield* openStops()
      const all = Array.from({ length: 12 }, (_, index) => runOf({ messageId: `m-${index}` }))
      yield* stops.start(...all)
      const healthy = Array.from({ length: 11 }, () => Fault.healthy)
      yield* stops.faults.set({ requestStop: Fault.flapping(Fault.fail, ...healthy) })
      const response = yield* stops.send("POST", pathsOf(runOf()).chat, { as: "ada" })
      assert.strictEqual(response.status, 503)
      const records = yield* Effect.forEach(all, stops.record)
      assert.lengthOf(
        records.filter((record) => record?.request !== undefined),
        11
      )
    }).pipe(Effect.scoped)
  )

  const away = new RateLimiter.RateLimiterError({
    reason: new RateLimiter.RateLimitStoreError({ message: "away", cause: "away" })
  })
  for (const [what, failure] of [
    ["its store has failed", Effect.fail(away)],
    ["it has a defect", Effect.die("broken")],
    ["it interrupts itself", Effect.interrupt]
  ] as const) {
    it.live(`lets stops through while ${what}`, () =>
      Effect.gen(function* () {
        const limiter = yield* broken(() => failure)
        const stops = yield* openStops({ rateLimit, limiter })
        yield* stops.start(...runs)
        assert.deepStrictEqual(yield* press(stops), [202, 202, 202])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("lets a stop through after a second if its store hangs", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const reached = yield* Deferred.make<void>()
      const limiter = yield* broken(() =>
        Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
      )
      const stops = yield* openStops({ rateLimit, limiter }, () =>
        Layer.succeed(Clock.Clock, clock)
      )
      const run = runOf()
      yield* stops.start(run)
      const asking = yield* Effect.forkChild(stops.send("POST", pathsOf(run).stop, { as: "ada" }))
      yield* Deferred.await(reached)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asking)).status, 202)
      assert.isDefined((yield* stops.record(run))?.request)
    }).pipe(Effect.scoped)
  )
})

describe("the limit that is kept in memory", () => {
  it.effect("counts for a window, and keeps nothing of those who have asked nothing since", () =>
    Effect.gen(function* () {
      const kept = new Map()
      const { consume } = makeMemoryLimiter(Duration.minutes(1), kept)
      const ask = (key: string) =>
        Effect.map(
          Effect.result(consume({ key, limit: 2, window: "1 minute", onExceeded: "fail" })),
          Result.isSuccess
        )
      const asking = Effect.forEach(["busy", "busy", "busy", "idle"], ask)
      assert.deepStrictEqual(yield* asking, [true, true, false, true])
      for (let nth = 0; nth < 1000; nth++) yield* ask(`once ${nth}`)
      assert.strictEqual(kept.size, 1002)
      yield* TestClock.adjust("59 seconds")
      // Whoever is refused is known as long as one who is not.
      assert.isFalse(yield* ask("busy"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* ask("new"))
      assert.deepStrictEqual(Array.from(kept.keys()), ["busy", "new"])
      assert.deepStrictEqual(yield* asking, [true, true, false, true])
    })
  )
})
