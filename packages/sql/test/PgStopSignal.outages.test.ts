import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { encodeStop } from "../src/internal/stopNotification.ts"
import {
  freshRun,
  observe,
  muteServer,
  open,
  operator,
  sockets,
  timed,
  untilLater
} from "./PgStopSignal.fixture.ts"
import * as Postgres from "./support/Postgres.ts"
import * as TcpProxy from "./support/TcpProxy.ts"
import { until } from "./support/until.ts"

describe("a connection that is terminated", () => {
  it.live("is made anew: one warning, one line, one Reconnected, and hints again", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listener, terminate } = yield* operator(url)
      const { linesAt, signal } = yield* open(url)
      const observers = [yield* observe(signal), yield* observe(signal)]
      yield* Effect.forEach(observers, ({ hearsReconnected }) => hearsReconnected(1))
      const pid = yield* listener
      yield* terminate(pid)
      yield* Effect.forEach(observers, ({ hearsReconnected }) => hearsReconnected(2))
      assert.notStrictEqual(yield* listener, pid)
      const run = freshRun()
      yield* signal.publish(run)
      yield* Effect.forEach(observers, ({ hears }) => hears(run))
      assert.deepStrictEqual(
        observers.map(({ reconnected }) => reconnected()),
        [2, 2]
      )
      assert.lengthOf(linesAt("Warn"), 1)
      assert.include(linesAt("Warn").join(), "terminating connection")
      assert.lengthOf(linesAt("Info"), 1)
    })
  )

  it.live("is made anew every time", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listener, terminate } = yield* operator(url)
      const { linesAt, signal } = yield* open(url)
      const observer = yield* observe(signal)
      for (const times of [1, 2, 3, 4]) {
        yield* observer.hearsReconnected(times)
        assert.lengthOf(linesAt("Info"), times - 1)
        yield* terminate(yield* listener)
      }
      yield* observer.hearsReconnected(5)
      assert.lengthOf(linesAt("Warn"), 4)
    })
  )
})

describe("connections that are terminated one after another", () => {
  it.effect("are made anew later and later, until one has lasted", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listener, terminate } = yield* operator(url)
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const { linesAt, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      let terminated = 0
      const terminating = Effect.gen(function* () {
        yield* terminate(yield* listener)
        terminated++
        yield* until(
          Effect.sync(() => linesAt("Warn").length),
          (warned) => warned === terminated
        )
      })
      const pause = Effect.gen(function* () {
        yield* terminating
        const at = clock.currentTimeMillisUnsafe()
        yield* untilLater(
          Effect.sync(observer.reconnected),
          (count) => count === terminated + 1,
          "50 millis"
        )
        return clock.currentTimeMillisUnsafe() - at
      })
      const pauses = yield* Effect.forEach(Array.from({ length: 8 }), () => pause)
      for (const last of pauses.slice(-2)) assert.isAtLeast(last, 3900)
      yield* clock.adjust("5 seconds")
      yield* terminating
      let passed = 0
      yield* until(
        Effect.andThen(
          clock.adjust("100 millis"),
          Effect.sync(() => (passed += 100))
        ),
        (millis) => millis >= 2000
      )
      yield* observer.hearsReconnected(terminated + 1)
    })
  )
})

describe("a connection that nothing is said on", () => {
  it.live("is kept where the server ends sessions that are idle", () =>
    Effect.gen(function* () {
      const { name, url } = yield* Postgres.database
      const { column, listener } = yield* operator(url)
      // of who connects from now on, which the operator has done before
      yield* column(`ALTER DATABASE ${name} SET idle_session_timeout = 200`)
      const { lines } = yield* open(url)
      const pid = yield* listener
      yield* until(
        column(
          `SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'effect-cancellation-listen'
              AND clock_timestamp() - state_change > interval '1 second'`
        ),
        (pids) => pids.includes(pid),
        "10 seconds"
      )
      assert.deepStrictEqual(lines, [])
    })
  )
})

describe("a connection that is frozen", () => {
  it.effect("is noticed by its probe and made anew, with one warning and one Reconnected", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      const { linesAt, signal } = yield* open(url, { listenUrl: proxy.url })
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const { listeners } = yield* operator(url)
      const [pid] = yield* listeners()
      yield* proxy.freeze
      const lost = freshRun()
      yield* signal.publish(lost)
      yield* untilLater(
        Effect.sync(() => linesAt("Warn")),
        (lines) => lines.length === 1
      )
      assert.include(linesAt("Warn").join(), "did not arrive within 5 seconds")
      // many attempts, all of which reach nobody
      const attempts = yield* proxy.connections
      yield* untilLater(proxy.connections, (count) => count >= attempts + 3)
      assert.lengthOf(linesAt("Warn"), 1)
      assert.strictEqual(observer.reconnected(), 1)
      yield* proxy.thaw
      yield* untilLater(Effect.sync(observer.reconnected), (count) => count === 2)
      yield* untilLater(listeners(), (pids) => pids.length === 1 && pids[0] !== pid)
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.strictEqual(observer.reconnected(), 2)
      assert.lengthOf(linesAt("Warn"), 1)
      assert.lengthOf(linesAt("Info"), 1)
      assert.match(linesAt("Info").join(), /after (\d+m )?\d+s/)
    })
  )

  it.live("keeps nobody waiting who closes the layer, and leaves no socket", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      const { close, signal } = yield* open(url, { listenUrl: proxy.url })
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      yield* proxy.freeze
      const before = sockets()
      assert.isBelow(yield* timed(close), 1000)
      yield* until(Effect.sync(sockets), (count) => count < before)
    })
  )

  it.live("keeps nobody waiting when it froze while it connected, or while its pool did", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      yield* proxy.freeze
      const connecting = yield* open(url, { listenUrl: proxy.url })
      yield* until(proxy.connections, (count) => count === 1)
      assert.isBelow(yield* timed(connecting.close), 1000)

      const stored = yield* TcpProxy.make(url)
      const sending = yield* open(stored.url, { listenUrl: url, probeInterval: "20 millis" })
      const observer = yield* observe(sending.signal)
      yield* observer.hearsReconnected(1)
      yield* stored.freeze
      const sent = sending.probes()
      yield* until(Effect.sync(sending.probes), (count) => count > sent)
      assert.isBelow(yield* timed(sending.close), 1000)
    })
  )
})

describe("a server that answers nothing", () => {
  it.live("keeps nobody waiting who closes the layer", () =>
    Effect.gen(function* () {
      const mute = yield* muteServer
      const { close } = yield* open(mute.url)
      yield* until(Effect.sync(mute.asked), (asked) => asked === 1)
      assert.isBelow(yield* timed(close), 1000)
      yield* until(Effect.sync(mute.connected), (connected) => connected === 0)
    })
  )

  it.effect("is given up, and asked again", () =>
    Effect.gen(function* () {
      const mute = yield* muteServer
      const { linesAt } = yield* open(mute.url)
      yield* untilLater(Effect.sync(mute.asked), (asked) => asked >= 3)
      assert.lengthOf(linesAt("Warn"), 1)
    })
  )
})

describe("a server that is away", () => {
  it.live("at the start keeps nothing from starting, and is found once it is there", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      yield* proxy.cut
      const { linesAt, signal } = yield* open(url, { listenUrl: proxy.url })
      const observer = yield* observe(signal)
      yield* until(
        Effect.sync(() => linesAt("Warn")),
        (lines) => lines.length === 1
      )
      assert.include(linesAt("Warn").join(), "ECONNREFUSED")
      assert.notInclude(linesAt("Warn").join(), Redacted.value(proxy.url))
      yield* proxy.mend
      yield* observer.hearsReconnected(1)
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.lengthOf(linesAt("Warn"), 1)
      assert.lengthOf(linesAt("Info"), 1)
    })
  )

  it.live("is tried again also when the password cannot be had for a while", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const location = new URL(Redacted.value(url))
      const password = Redacted.make(location.password)
      location.password = ""
      let asked = 0
      const { signal } = yield* open(
        Redacted.make(location.href),
        {},
        {
          password: Effect.suspend(() =>
            asked++ === 0 ? Effect.die("no password") : Effect.succeed(password)
          )
        }
      )
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
    })
  )

  it.effect("is asked again more and more rarely, and every 5 seconds at last", () =>
    Effect.gen(function* () {
      const refused = Redacted.make("postgres://nobody@127.0.0.1:1/nothing")
      const attempts: Array<number> = []
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const { linesAt } = yield* open(
        refused,
        {},
        {
          password: Effect.sync(() => {
            attempts.push(clock.currentTimeMillisUnsafe())
            return Redacted.make("secret")
          })
        }
      )
      yield* until(
        Effect.andThen(
          clock.adjust("100 millis"),
          Effect.sync(() => attempts.length)
        ),
        (count) => count >= 12
      )
      const pauses = attempts.slice(1).map((time, index) => time - (attempts[index] ?? 0))
      assert.isAtMost(pauses[0] ?? 0, 2000)
      for (const pause of pauses) assert.isAtMost(pause, 10_000)
      for (const pause of pauses.slice(-3)) assert.isAtLeast(pause, 3900)
      assert.lengthOf(linesAt("Warn"), 1)
    })
  )
})

describe("a listenUrl that leads elsewhere", () => {
  it.effect("is told once, with what to do, and harms nothing else", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const elsewhere = yield* Postgres.database
      const { listener } = yield* operator(elsewhere.url)
      const { linesAt, probes, signal } = yield* open(url, { listenUrl: elsewhere.url })
      yield* listener
      const observer = yield* observe(signal)
      yield* untilLater(Effect.sync(probes), (count) => count >= 4)
      yield* signal.publish(freshRun())
      assert.lengthOf(linesAt("Warn"), 1)
      assert.include(linesAt("Warn").join(), "set listenUrl")
      assert.deepStrictEqual(linesAt("Info"), [])
      assert.deepStrictEqual([observer.reconnected(), observer.runs()], [0, []])
    })
  )
})

describe("a store that is away", () => {
  it.live("says nothing of the connection that listens", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const stored = yield* TcpProxy.make(url)
      const { listener, notify } = yield* operator(url)
      const { lines, probes, signal } = yield* open(stored.url, {
        listenUrl: url,
        probeInterval: "20 millis"
      })
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const pid = yield* listener
      for (const [away, back, failing] of [
        [stored.cut, stored.mend, 2],
        // one that hangs
        [stored.freeze, stored.thaw, 1]
      ] as const) {
        yield* away
        const before = probes()
        yield* until(Effect.sync(probes), (count) => count >= before + failing)
        const run = freshRun()
        yield* notify(encodeStop(run))
        yield* observer.hears(run)
        yield* back
        const after = probes()
        yield* until(Effect.sync(probes), (count) => count >= after + 2)
      }
      assert.strictEqual(yield* listener, pid)
      assert.strictEqual(observer.reconnected(), 1)
      assert.deepStrictEqual(lines, [])
    })
  )
})
