import { assert, beforeEach, describe, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { runKey } from "effect-cancellation"
import { until } from "../../sql/test/support/until.ts"
import { RedisStopSignal } from "../src/index.ts"
import { decodeStop, encodeStop } from "../src/internal/payload.ts"
import { freshRun, logs, observe, open, openLayer, untilLater } from "./signal.fixture.ts"
import * as Redis from "./support/Redis.ts"

beforeEach(Redis.skipWithout)

describe("connections", () => {
  it.live("are made when they are needed, and gone when they are not", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { named, others } = yield* Redis.operator(url)
      const { close, lines, signal } = yield* open(url)
      assert.deepStrictEqual(yield* others, [])
      yield* signal.publish(freshRun())
      assert.lengthOf(yield* named("publish"), 1)
      assert.lengthOf(yield* others, 1)
      const one = yield* observe(signal)
      const other = yield* observe(signal)
      yield* one.hearsReconnected(1)
      assert.lengthOf(yield* named("listen"), 1)
      yield* one.leave
      const run = freshRun()
      yield* signal.publish(run)
      yield* other.hears(run)
      yield* other.leave
      yield* until(named("listen"), (ids) => ids.length === 0)
      const again = yield* observe(signal)
      yield* again.hearsReconnected(1)
      assert.lengthOf(yield* others, 2)
      yield* close
      yield* until(others, (list) => list.length === 0)
      assert.deepStrictEqual(lines, [])
    })
  )

  it.live("that publish are one, however many stops come at once", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { named } = yield* Redis.operator(url)
      const { signal } = yield* open(url)
      const runs = Array.from({ length: 1000 }, freshRun)
      yield* Effect.forEach(runs, signal.publish, { concurrency: "unbounded" })
      assert.lengthOf(yield* named("publish"), 1)
    })
  )
})

describe("probes", () => {
  it.effect("are sent every 10 seconds while somebody subscribes, and only then", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { command } = yield* Redis.operator(url)
      const probes = Effect.map(command<string>("INFO", "commandstats"), (stats) =>
        Number(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1] ?? 0)
      )
      const { lines, signal } = yield* open(url)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* probes, 0)
      const observer = yield* observe(signal)
      yield* until(Effect.sync(observer.reconnected), (count) => count === 1)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* probes, 1)
      yield* TestClock.adjust("1 second")
      yield* until(probes, (count) => count === 2)
      yield* observer.leave
      const before = yield* probes
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* probes, before)
      assert.deepStrictEqual(lines, [])
    })
  )

  it.live("wake no other process", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { channels, subscribers } = yield* Redis.operator(url)
      for (const { signal } of [yield* open(url), yield* open(url)]) {
        yield* Effect.flatMap(observe(signal), (observer) => observer.hearsReconnected(1))
      }
      assert.strictEqual(yield* subscribers("effect_cancellation"), 2)
      const probing = (yield* channels).filter((name) => name.startsWith("effect_cancellation:"))
      assert.lengthOf(probing, 2)
      for (const name of probing) {
        assert.match(name, /^effect_cancellation:probe:[0-9a-f-]{36}$/)
        assert.strictEqual(yield* subscribers(name), 1)
      }
    })
  )
})

describe("Reconnected", () => {
  it.live("comes to whom subscribed before it listened, and to nobody later", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { signal } = yield* open(url, { probeInterval: "20 millis" })
      const early = yield* observe(signal)
      yield* early.hearsReconnected(1)
      const late = yield* observe(signal)
      const run = freshRun()
      yield* signal.publish(run)
      yield* late.hears(run)
      assert.deepStrictEqual([early.reconnected(), late.reconnected()], [1, 0])
    })
  )
})

describe("channels", () => {
  it.live("keep applications on one Redis apart", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const one = yield* open(url, { channel: "one" })
      const other = yield* open(url, { channel: "other" })
      const observers = [yield* observe(one.signal), yield* observe(other.signal)] as const
      yield* Effect.forEach(observers, (observer) => observer.hearsReconnected(1))
      const runs = [freshRun(), freshRun()] as const
      yield* one.signal.publish(runs[0])
      yield* other.signal.publish(runs[1])
      yield* observers[0].hears(runs[0])
      yield* observers[1].hears(runs[1])
      assert.deepStrictEqual(
        observers.map((observer) => observer.runs()),
        [[runKey(runs[0])], [runKey(runs[1])]]
      )
    })
  )

  it.live("with messages that are no hints are told of once", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { command } = yield* Redis.operator(url)
      const { linesAt, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      for (const payload of ["nonsense", "", "null", "[]", `{"runId":"a"}`]) {
        yield* command("PUBLISH", "effect_cancellation", payload)
      }
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.deepStrictEqual(observer.runs(), [runKey(run)])
      assert.strictEqual(observer.reconnected(), 1)
      assert.lengthOf(linesAt("Warn"), 1)
      assert.notInclude(linesAt("Warn").join(), "nonsense")
    })
  )

  it("carry a run as JSON, and take nothing else for one", () => {
    const run = freshRun()
    assert.deepStrictEqual(decodeStop(encodeStop(run)), Option.some(run))
    const { ref } = run
    const wrong = [
      { ref },
      { ref, runId: "" },
      { ref, runId: "a".repeat(256) },
      { ref, runId: 5 },
      { ref: { ...ref, chatId: "a\nb" }, runId: "a" },
      { ref: { ...ref, companyId: null }, runId: "a" }
    ]
    assert.deepStrictEqual(
      wrong.filter((value) => Option.isSome(decodeStop(JSON.stringify(value)))),
      []
    )
  })
})

describe("layerRedis", () => {
  const shared = (url: Redacted.Redacted) => NodeRedis.layer({ url: Redacted.value(url) })

  it.live("publishes through the service, and subscribes on a connection of its own", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { named, others } = yield* Redis.operator(url)
      const { lines, signal } = yield* openLayer(
        RedisStopSignal.layerRedis({ url }).pipe(Layer.provide(Layer.orDie(shared(url))))
      )
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.deepStrictEqual([(yield* named("publish")).length, (yield* others).length], [0, 2])
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect("tells once that it publishes on another Redis than it subscribes to", () =>
    Effect.gen(function* () {
      const [here, there] = [yield* Redis.server(), yield* Redis.server()]
      const { subscribers } = yield* Redis.operator(here.url)
      const opened = yield* openLayer(
        RedisStopSignal.layerRedis({ url: here.url }).pipe(
          Layer.provide(Layer.orDie(shared(there.url)))
        )
      )
      const observer = yield* observe(opened.signal)
      yield* until(subscribers(RedisStopSignal.defaultChannel), (count) => count === 1)
      const { command } = yield* Redis.operator(there.url)
      const published = Effect.map(command<string>("INFO", "commandstats"), (stats) =>
        Number(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1] ?? 0)
      )
      yield* untilLater(published, (count) => count >= 3)
      assert.include((yield* logs(opened, "Warn", 1)).join(), "another Redis")
      assert.deepStrictEqual([observer.reconnected(), opened.linesAt("Info")], [0, []])
    })
  )
})
