import { assert, beforeEach, describe, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import {
  CancellationWatcher,
  MessageRepo,
  MessageStore,
  RunQuery,
  StopSignal
} from "effect-cancellation"
import * as TcpProxy from "../../sql/test/support/TcpProxy.ts"
import { until } from "../../sql/test/support/until.ts"
import { RedisStopSignal } from "../src/index.ts"
import {
  freshRun,
  logs,
  muteServer,
  observe,
  open,
  openLayer,
  sockets,
  timed,
  untilLater
} from "./signal.fixture.ts"
import * as Redis from "./support/Redis.ts"

beforeEach(Redis.skipWithout)

describe("CLIENT KILL", () => {
  it.live("of who listens: one warning, one line, one Reconnected, and hints again", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { kill, named } = yield* Redis.operator(url)
      const opened = yield* open(url)
      const observers = [yield* observe(opened.signal), yield* observe(opened.signal)]
      yield* Effect.forEach(observers, ({ hearsReconnected }) => hearsReconnected(1))
      for (const times of [1, 2, 3]) {
        const [id = ""] = yield* named("listen")
        yield* kill(id)
        yield* Effect.forEach(observers, ({ hearsReconnected }) => hearsReconnected(times + 1))
        assert.notInclude(yield* named("listen"), id)
        const run = freshRun()
        yield* opened.signal.publish(run)
        yield* Effect.forEach(observers, ({ hears }) => hears(run))
        assert.lengthOf(opened.linesAt("Warn"), times)
        assert.lengthOf(opened.linesAt("Info"), times)
      }
      assert.include(opened.linesAt("Warn").join(), "stops are found by polling")
      for (const line of opened.linesAt("Info")) assert.match(line, /after \d+(s|s \d+ms|ms)$/)
    })
  )

  it.effect("again and again is met later and later, until a connection has lasted", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { kill, named } = yield* Redis.operator(url)
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const { linesAt, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      let killed = 0
      const killing = Effect.gen(function* () {
        const [id = ""] = yield* named("listen")
        yield* kill(id)
        killed++
        yield* logs({ linesAt }, "Warn", killed)
      })
      const pause = Effect.gen(function* () {
        yield* killing
        const at = clock.currentTimeMillisUnsafe()
        yield* untilLater(
          Effect.sync(observer.reconnected),
          (count) => count === killed + 1,
          "50 millis"
        )
        return clock.currentTimeMillisUnsafe() - at
      })
      const pauses = yield* Effect.forEach(Array.from({ length: 8 }), () => pause)
      for (const last of pauses.slice(-2)) assert.isAtLeast(last, 3900)
      yield* clock.adjust("5 seconds")
      yield* killing
      let passed = 0
      yield* until(
        Effect.andThen(
          clock.adjust("100 millis"),
          Effect.sync(() => (passed += 100))
        ),
        (millis) => millis >= 2000
      )
      yield* observer.hearsReconnected(killed + 1)
    })
  )

  it.live("of who publishes is noticed by nobody", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { kill, named } = yield* Redis.operator(url)
      const { lines, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const [id = ""] = yield* named("publish")
      yield* kill(id)
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.lengthOf(yield* named("publish"), 1)
      assert.strictEqual(observer.reconnected(), 1)
      assert.deepStrictEqual(lines, [])
    })
  )
})

describe("CLIENT PAUSE", () => {
  it.live("for a moment says nothing", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { command } = yield* Redis.operator(url)
      const { lines, signal } = yield* open(url, { probeInterval: "50 millis" })
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      yield* command("CLIENT", "PAUSE", "1500", "ALL")
      const run = freshRun()
      assert.isAbove(yield* timed(signal.publish(run)), 1000)
      yield* observer.hears(run)
      assert.deepStrictEqual([lines, observer.reconnected()], [[], 1])
    })
  )

  it.live("for longer than a probe may take: one warning, then one look at everything", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { command, named } = yield* Redis.operator(url)
      const opened = yield* open(url, { probeInterval: "50 millis" })
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      const [listener, publisher] = [yield* named("listen"), yield* named("publish")]
      yield* command("CLIENT", "PAUSE", "8000", "ALL")
      const error = yield* Effect.flip(opened.signal.publish(freshRun()))
      assert.include(String(error.cause), "no answer within 5 seconds")
      yield* logs(opened, "Warn", 1)
      yield* logs(opened, "Info", 1)
      yield* observer.hearsReconnected(2)
      const run = freshRun()
      yield* opened.signal.publish(run)
      yield* observer.hears(run)
      assert.lengthOf(opened.lines, 2)
      // one that does not answer is not trusted again; who listens has said nothing wrong
      assert.deepStrictEqual(yield* named("listen"), listener)
      const [id, ...more] = yield* named("publish")
      assert.deepStrictEqual(more, [])
      assert.notInclude(publisher, id)
    })
  )
})

describe("a restart", () => {
  it.live("is one outage, after which hints come again", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.server()
      const opened = yield* open(redis.url)
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      yield* redis.kill
      const [warning = ""] = yield* logs(opened, "Warn", 1)
      assert.include(warning, `Redis at 127.0.0.1:${redis.port}`)
      const error = yield* Effect.flip(opened.signal.publish(freshRun()))
      assert.strictEqual(error._tag, "StopSignalError")
      assert.include(String(error.cause), "ECONNREFUSED")
      yield* redis.start
      yield* observer.hearsReconnected(2)
      yield* logs(opened, "Info", 1)
      const run = freshRun()
      yield* opened.signal.publish(run)
      yield* observer.hears(run)
      assert.lengthOf(opened.lines, 2)
    })
  )
})

describe("a Redis that is down when the program starts", () => {
  it.live("keeps nothing from starting: one warning, and polling finds stops", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.server({ isAway: true })
      const opened = yield* open(redis.url)
      // two processes on one store
      const store = yield* Layer.build(MessageStore.layerMemory())
      const process = Layer.build(Layer.fresh(MessageRepo.layer())).pipe(
        Effect.provide(store),
        Effect.provideService(StopSignal, opened.signal),
        Effect.provide(Logger.layer([]))
      )
      const [here, there] = [yield* process, yield* process]
      const { ref, runId } = freshRun()
      const watcher = Context.get(
        yield* Layer.build(
          CancellationWatcher.layer({ ref, runId, pollInterval: "20 millis" })
        ).pipe(Effect.provide(here)),
        CancellationWatcher
      )
      const { findRuns, requestStop } = Context.get(there, MessageRepo)
      yield* until(findRuns(RunQuery.cases.Refs.make({ refs: [ref] })), (runs) => runs.length === 1)
      yield* Effect.provide(requestStop(ref), Logger.layer([]))
      const { detectedBy } = yield* watcher.cancellation
      assert.strictEqual(detectedBy, "poll")
      assert.include((yield* logs(opened, "Warn", 1)).join(), "ECONNREFUSED")
      yield* redis.start
      yield* logs(opened, "Info", 1)
      const observer = yield* observe(opened.signal)
      const run = freshRun()
      yield* opened.signal.publish(run)
      yield* observer.hears(run)
      assert.lengthOf(opened.lines, 2)
    })
  )

  it.effect("is asked more and more rarely, and every 5 seconds at last", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const { url } = yield* muteServer((socket) => {
        attempts.push(clock.currentTimeMillisUnsafe())
        socket.destroy()
      })
      const opened = yield* open(url)
      yield* observe(opened.signal)
      yield* untilLater(
        Effect.sync(() => attempts.length),
        (count) => count >= 12,
        "100 millis"
      )
      const pauses = attempts.slice(1).map((time, index) => time - (attempts[index] ?? 0))
      assert.isAtMost(pauses[0] ?? 0, 2000)
      for (const pause of pauses) assert.isAtMost(pause, 10_000)
      for (const pause of pauses.slice(-3)) assert.isAtLeast(pause, 3900)
      assert.lengthOf(opened.linesAt("Warn"), 1)
    })
  )
})

describe("a wrong password", () => {
  it.live("is told once, without it, and made good when the server takes it", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.server()
      const { command } = yield* Redis.operator(redis.url)
      yield* command("ACL", "SETUSER", "agents", "on", ">other", "allchannels", "+@all")
      const opened = yield* open(redis.urlOf("agents:s3cret"))
      const observer = yield* observe(opened.signal)
      const [warning = ""] = yield* logs(opened, "Warn", 1)
      assert.include(warning, "WRONGPASS")
      assert.notInclude(opened.raw.join(), "s3cret")
      yield* command("ACL", "SETUSER", "agents", ">s3cret")
      yield* observer.hearsReconnected(1)
      yield* logs(opened, "Info", 1)
      assert.lengthOf(opened.lines, 2)
    })
  )
})

describe("a connection that is frozen", () => {
  it.effect("while messages can be published is noticed by its probe, and made anew", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.server()
      const { named } = yield* Redis.operator(url)
      const proxy = yield* TcpProxy.make(url)
      const opened = yield* openLayer(
        RedisStopSignal.layerRedis({ url: proxy.url }).pipe(
          Layer.provide(Layer.orDie(NodeRedis.layer({ url: Redacted.value(url) })))
        )
      )
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      const [id] = yield* named("listen")
      yield* proxy.freeze
      yield* opened.signal.publish(freshRun())
      yield* untilLater(
        Effect.sync(() => opened.linesAt("Warn")),
        (lines) => lines.length === 1
      )
      assert.include(opened.linesAt("Warn").join(), "did not arrive within 5 seconds")
      const before = yield* proxy.connections
      yield* untilLater(proxy.connections, (count) => count >= before + 2)
      yield* proxy.thaw
      yield* untilLater(Effect.sync(observer.reconnected), (count) => count === 2)
      yield* untilLater(named("listen"), (ids) => ids.length === 1 && ids[0] !== id)
      const run = freshRun()
      yield* opened.signal.publish(run)
      yield* observer.hears(run)
      assert.strictEqual(observer.reconnected(), 2)
      assert.lengthOf(opened.lines, 2)
      assert.match(opened.linesAt("Info").join(), /after (\d+m ?)?(\d+s ?)?(\d+ms)?$/)
    })
  )

  it.live("keeps nobody waiting who closes the layer, and leaves no socket", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.server()
      const before = sockets()
      const { close, signal } = yield* open(redis.url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      assert.strictEqual(sockets(), before + 2)
      yield* redis.freeze
      const hanging = yield* Effect.forkChild(Effect.flip(signal.publish(freshRun())), {
        startImmediately: true
      })
      assert.isBelow(yield* timed(close), 1000)
      assert.isBelow(yield* timed(Fiber.join(hanging)), 1000)
      const late = yield* Effect.flip(signal.publish(freshRun()))
      assert.include(String(late.cause), "closed")
      yield* until(Effect.sync(sockets), (count) => count === before)
      yield* redis.thaw
    })
  )
})

describe("a server that answers nothing", () => {
  it.effect("is given up, and asked again", () =>
    Effect.gen(function* () {
      const mute = yield* muteServer()
      const opened = yield* open(mute.url)
      yield* observe(opened.signal)
      yield* untilLater(Effect.sync(mute.accepted), (count) => count >= 3)
      assert.lengthOf(opened.linesAt("Warn"), 1)
      assert.include(opened.linesAt("Warn").join(), "no answer within 5 seconds")
      assert.isAtMost(mute.connected(), 1)
    })
  )

  it.live.each(["redis", "rediss"])("keeps nobody waiting who closes the layer (%s)", (protocol) =>
    Effect.gen(function* () {
      const mute = yield* muteServer()
      const url = Redacted.make(Redacted.value(mute.url).replace("redis", protocol))
      const { close, signal } = yield* open(url)
      yield* observe(signal)
      yield* until(Effect.sync(mute.accepted), (count) => count === 1)
      assert.isBelow(yield* timed(close), 1000)
      yield* until(Effect.sync(mute.connected), (count) => count === 0, "2 seconds")
    })
  )
})
