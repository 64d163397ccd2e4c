import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { InvalidSetting } from "effect-cancellation"
import { makeProbe } from "../src/internal/stopProbe.ts"
import type * as PgStopSignal from "../src/PgStopSignal.ts"
import { freshRun, observe, open, operator, untilLater } from "./PgStopSignal.fixture.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

describe("probes", () => {
  it.effect("are sent while somebody subscribes, and only then", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listener } = yield* operator(url)
      const { probes, signal } = yield* open(url)
      yield* listener
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(probes(), 0)
      const observer = yield* observe(signal)
      yield* until(Effect.sync(probes), (sent) => sent === 1)
      yield* untilLater(Effect.sync(probes), (sent) => sent >= 3)
      yield* observer.leave
      const before = probes()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(probes(), before)
    })
  )

  it.effect("do not take one that arrives late for the next one", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const probe = yield* makeProbe((payload) => Effect.sync(() => void sent.push(payload)))
      const notice = (payload: string) =>
        probe.received({ processId: 1, channel: "probe", payload })
      const send = Effect.fnUntraced(function* (number: number, arriving?: number) {
        const sending = yield* Effect.forkChild(probe.send, { startImmediately: true })
        yield* until(
          Effect.sync(() => sent.length),
          (count) => count === number
        )
        if (arriving !== undefined) yield* notice(sent[arriving - 1] ?? "")
        yield* TestClock.adjust("5 seconds")
        return yield* Fiber.join(sending)
      })
      assert.strictEqual(yield* send(1), "lost")
      assert.strictEqual(yield* send(2, 1), "lost")
      assert.strictEqual(yield* send(3, 3), "arrived")
    })
  )

  it.live("wake no other process", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const [one, other] = [yield* open(url), yield* open(url)]
      const observers = [yield* observe(one.signal), yield* observe(other.signal)] as const
      yield* Effect.forEach(observers, (observer) => observer.hearsReconnected(1))
      const { column, listeners } = yield* operator(url)
      assert.lengthOf(yield* listeners(), 2)
      const channels = yield* column(
        "SELECT query FROM pg_stat_activity WHERE application_name = 'effect-cancellation-listen' AND datname = current_database()"
      )
      assert.strictEqual(new Set(channels).size, 2)
      for (const query of channels) {
        assert.isAtMost(String(query).length - `LISTEN ""`.length, 63)
      }
    })
  )
})

describe("Reconnected", () => {
  it.live("comes after the first connection to whom subscribed before it, to nobody later", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { probes, signal } = yield* open(url, { probeInterval: "20 millis" })
      const early = yield* observe(signal)
      yield* early.hearsReconnected(1)
      const late = yield* observe(signal)
      const run = freshRun()
      yield* signal.publish(run)
      yield* late.hears(run)
      yield* until(Effect.sync(probes), (sent) => sent >= 4)
      assert.deepStrictEqual([early.reconnected(), late.reconnected()], [1, 0])
    })
  )

  it.live("does not come to whom subscribed while it listened", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listener } = yield* operator(url)
      const { lines, probes, signal } = yield* open(url, { probeInterval: "20 millis" })
      // the signal itself learns it a moment after the server
      yield* listener
      const first = yield* observe(signal)
      yield* until(Effect.sync(probes), (sent) => sent >= 1)
      yield* first.leave
      const observer = yield* observe(signal)
      yield* until(Effect.sync(probes), (sent) => sent >= 4)
      assert.strictEqual(observer.reconnected(), 0)
      assert.deepStrictEqual(lines, [])
    })
  )
})

describe("the layer", () => {
  it.live("leaves no connection behind", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { connections, listener, listeners } = yield* operator(url)
      const { close, lines, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      yield* listener
      yield* close
      assert.deepStrictEqual(lines, [])
      yield* until(listeners(), (pids) => pids.length === 0)
      yield* until(connections, (names) => !names.includes("effect-cancellation-listen"))
    })
  )

  it.live("ends the streams of its subscribers", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { close, signal } = yield* open(url)
      const reading = yield* Effect.forkChild(Effect.exit(Stream.runDrain(signal.hints)), {
        startImmediately: true
      })
      yield* close
      yield* until(
        Effect.sync(() => reading.pollUnsafe() !== undefined),
        (ended) => ended
      )
    })
  )

  it.live("calls its connection as the client's settings do, if they do", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listeners } = yield* operator(url)
      const named = new URL(Redacted.value(url))
      named.searchParams.set("application_name", "by the URL")
      yield* open(url, {}, { applicationName: "by the settings" })
      yield* open(url, {}, { startupParameters: { Application_Name: "by a parameter" } })
      yield* open(Redacted.make(named.href))
      yield* open(url, { listenUrl: Redacted.make(named.href) }, { applicationName: "another" })
      yield* until(listeners("by the settings"), (pids) => pids.length === 1)
      yield* until(listeners("by a parameter"), (pids) => pids.length === 1)
      yield* until(listeners("by the URL"), (pids) => pids.length === 2)
    })
  )

  it.live("listens where listenUrl leads, and takes from the client what it leaves open", () =>
    Effect.gen(function* () {
      const { name, url } = yield* Postgres.database
      const { host, port, password, username } = new URL(Redacted.value(url))
      const bare = Redacted.make(`postgres://${host}`)
      const { signal } = yield* open(
        Redacted.make(`postgres://127.0.0.1:${port || "5432"}`),
        { listenUrl: bare },
        {
          database: name,
          username,
          ...(password === "" ? {} : { password: Redacted.make(password) })
        }
      )
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
    })
  )

  const refused: ReadonlyArray<readonly [string, PgStopSignal.PgStopSignalOptions]> = [
    ["probeInterval", { probeInterval: 0 }],
    ["probeInterval", { probeInterval: -1 }],
    ["probeInterval", { probeInterval: Number.NaN }],
    ["probeInterval", { probeInterval: Number.POSITIVE_INFINITY }],
    ["probeInterval", { probeInterval: "Infinity" }],
    ["channel", { channel: "" }],
    ["channel", { channel: "c".repeat(64) }],
    ["channel", { channel: "ü".repeat(32) }],
    ["channel", { channel: "a\0b" }],
    ["listenUrl", { listenUrl: Redacted.make("secret") }],
    ["listenUrl", { listenUrl: Redacted.make("https://app:secret@database") }]
  ]
  for (const [index, [option, options]] of refused.entries()) {
    it.effect(`dies of a ${option} that cannot work (${index + 1})`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(
          open(Redacted.make("postgres://nobody@127.0.0.1:1/nothing"), options)
        )
        const defects = Exit.isFailure(exit)
          ? exit.cause.reasons.flatMap((reason) => (reason._tag === "Die" ? [reason.defect] : []))
          : []
        assert.instanceOf(defects[0], InvalidSetting)
        assert.include(String(defects[0]), option)
        assert.notInclude(String(defects[0]), "secret")
      })
    )
  }

  it.live("takes a channel of 63 bytes, and one with quotes", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      for (const channel of ["c".repeat(63), `Stop's "own" channel`]) {
        const { signal } = yield* open(url, { channel })
        const observer = yield* observe(signal)
        yield* observer.hearsReconnected(1)
        const run = freshRun()
        yield* signal.publish(run)
        yield* observer.hears(run)
      }
    })
  )
})
