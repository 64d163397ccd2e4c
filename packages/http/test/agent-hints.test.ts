import { get, type IncomingMessage } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { HttpClient, HttpClientError } from "effect/http"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { MessageStore, type Run, runKey, StopHint, StopSignal } from "effect-cancellation"
import { observe, openLayer, untilLater } from "../../sql/test/support/signals.ts"
import * as TcpProxy from "../../sql/test/support/TcpProxy.ts"
import { until } from "../../sql/test/support/until.ts"
import * as HttpMessageStore from "../src/HttpMessageStore.ts"
import { agentLayer, openAgent, runIn, startServer } from "./support/agentFixture.ts"
import { type Answer, json, listen, refuse, stream } from "./support/scripted.ts"

/** A signal that says how many listen to it, and breaks when told to. */
const countingSignal = Effect.gen(function* () {
  const hints = yield* PubSub.unbounded<StopHint>()
  let open = 0
  let opened = 0
  let isBroken = false
  let isEnded = false
  const layer = Layer.succeed(StopSignal, {
    publish: (run: Run) => Effect.asVoid(PubSub.publish(hints, StopHint.cases.Hint.make({ run }))),
    hints: Stream.unwrap(
      Effect.gen(function* () {
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            open++
            opened++
          }),
          () => Effect.sync(() => open--)
        )
        if (isBroken) return Stream.die("broken")
        return Stream.fromPubSub(hints).pipe(
          Stream.takeUntil(() => isBroken || isEnded),
          Stream.concat(Stream.suspend(() => (isBroken ? Stream.die("broken") : Stream.empty)))
        )
      })
    )
  })
  return {
    layer,
    open: () => open,
    opened: () => opened,
    setBroken: (value: boolean) => {
      isBroken = value
    },
    setEnded: (value: boolean) => {
      isEnded = value
    }
  }
})

const serverWith = (signal: Layer.Layer<never>, options?: Parameters<typeof startServer>[0]) =>
  startServer({ ...options, backing: Layer.merge(MessageStore.layerMemory(), signal) })

const scripted = (answer: Answer) =>
  Effect.acquireRelease(
    Effect.promise(() => listen(answer)),
    (server) => Effect.promise(() => server[Symbol.asyncDispose]())
  )

const hello = ": alive\n\n"

describe("hints over HTTP", () => {
  it.effect("come to each agent for its own runs only", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const runs = {
        acme: runIn("acme"),
        named: runIn("acme"),
        other: runIn("other"),
        default: runIn(undefined)
      }
      server.tokens.agents.set("named", { _tag: "Runs", agent: "named", runs: [runs.named] })
      const expected = {
        acme: [runs.acme, runs.named],
        other: [runs.other],
        default: [runs.default],
        named: [runs.named]
      }
      const observers = yield* Effect.forEach(Object.entries(expected), ([token, own]) =>
        Effect.gen(function* () {
          const { signal } = yield* openAgent(server.url, { token: Redacted.make(token) })
          const observer = yield* observe(signal)
          yield* observer.hearsReconnected(1)
          return { observer, own }
        })
      )
      for (const run of [...Object.values(runs), ...Object.values(runs)]) {
        yield* server.signal.publish(run)
      }
      for (const { observer, own } of observers) {
        yield* until(Effect.sync(observer.runs), (heard) => heard.length >= own.length * 2)
        assert.deepStrictEqual(observer.runs(), [...own, ...own].map(runKey))
      }
    })
  )

  it.effect("come from one subscription of the server, open while somebody listens", () =>
    Effect.gen(function* () {
      const signal = yield* countingSignal
      const server = yield* serverWith(signal.layer)
      assert.strictEqual(signal.opened(), 0)
      const agents = yield* Effect.forEach(Array.from({ length: 20 }), () => openAgent(server.url))
      assert.strictEqual(server.accepted(), 0)
      const observers = yield* Effect.forEach(agents, ({ signal }) => observe(signal))
      yield* Effect.forEach(observers, (observer) => observer.hearsReconnected(1))
      const run = runIn("acme")
      yield* server.signal.publish(run)
      yield* Effect.forEach(observers, (observer) => observer.hears(run))
      assert.deepStrictEqual([signal.open(), signal.opened()], [1, 1])
      assert.strictEqual(server.accepted(), 20)
      yield* Effect.forEach(observers.slice(1), ({ leave }) => leave)
      yield* until(Effect.sync(server.connected), (connected) => connected === 1)
      assert.strictEqual(signal.open(), 1)
      yield* Effect.forEach(observers.slice(0, 1), ({ leave }) => leave)
      yield* until(Effect.sync(server.connected), (connected) => connected === 0)
      yield* until(Effect.sync(signal.open), (open) => open === 0)
      const [again] = yield* Effect.forEach(agents.slice(0, 1), ({ signal }) => observe(signal))
      yield* again?.hearsReconnected(1) ?? Effect.void
      assert.deepStrictEqual([signal.open(), signal.opened()], [1, 2])
    })
  )

  it.effect("share one connection of an agent, however many listen in it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { signal } = yield* openAgent(server.url)
      const observers = yield* Effect.forEach([1, 2, 3], () => observe(signal))
      const run = runIn("acme")
      yield* Effect.forEach(observers, (observer) => observer.hearsReconnected(1))
      yield* server.signal.publish(run)
      yield* Effect.forEach(observers, (observer) => observer.hears(run))
      assert.strictEqual(server.accepted(), 1)
      yield* signal.publish(run)
      assert.strictEqual(server.requests().length, 1)
    })
  )

  it.live("are not held up by an agent that does not read, which is told to look instead", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ maxUnread: 100 })
      const { signal } = yield* openAgent(server.url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const slow = yield* Effect.callback<IncomingMessage>((resume) => {
        get(
          `${server.url}/agent/hints`,
          { headers: { authorization: "Bearer acme" }, agent: false },
          (response) => resume(Effect.succeed(response.pause()))
        )
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => slow.destroy()))
      const total = 5000
      for (let index = 0; index < total; index++) {
        const run = runIn("acme", `${"😀".repeat(240)}${index}`)
        yield* server.signal.publish(run)
        if (index % 50 === 49) yield* observer.hears(run)
      }
      let text = ""
      slow.on("data", (chunk) => {
        text += String(chunk)
      })
      slow.resume()
      yield* until(
        Effect.sync(() => text.includes("Reconnected")),
        (isTold) => isTold
      )
      const last = runIn("acme", "last")
      yield* server.signal.publish(last)
      yield* until(
        Effect.sync(() => text.includes("chat-last")),
        (isTold) => isTold
      )
      assert.isBelow(text.split("data:").length, total / 2)
      assert.strictEqual(observer.reconnected(), 1)
    })
  )

  it.live("reach all of 500 agents, and those who stay when half of them vanish", () =>
    Effect.gen(function* () {
      const signal = yield* countingSignal
      const server = yield* serverWith(signal.layer)
      const heard = { all: 0, last: 0 }
      const requests = Array.from({ length: 500 }, () =>
        get(
          `${server.url}/agent/hints`,
          { headers: { authorization: "Bearer acme" }, agent: false },
          (response) =>
            response.on("data", (chunk) => {
              if (String(chunk).includes("chat-first")) heard.all++
              if (String(chunk).includes("chat-last")) heard.last++
            })
        ).on("error", () => {})
      )
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => requests.forEach((request) => request.destroy()))
      )
      yield* until(Effect.sync(server.hearing), (count) => count === 500)
      // The last ones join after their request has come in.
      yield* until(
        Effect.andThen(
          server.signal.publish(runIn("acme", "first")),
          Effect.sync(() => heard.all)
        ),
        (count) => count >= 500
      )
      requests.slice(0, 250).forEach((request) => request.destroy())
      yield* until(Effect.sync(server.hearing), (count) => count === 250)
      yield* server.signal.publish(runIn("acme", "last"))
      yield* until(
        Effect.sync(() => heard.last),
        (count) => count === 250
      )
      assert.deepStrictEqual([signal.open(), signal.opened()], [1, 1])
      requests.forEach((request) => request.destroy())
      yield* until(Effect.sync(signal.open), (open) => open === 0)
      yield* until(Effect.sync(server.connected), (connected) => connected === 0)
    })
  )

  it.live("keep their connection while the server says that it is alive", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ keepAlive: "100 millis" })
      const { signal } = yield* openAgent(server.url, { keepAlive: "500 millis" })
      const observer = yield* observe(signal)
      let comments = 0
      const { body } = yield* Effect.promise(() =>
        fetch(`${server.url}/agent/hints`, { headers: { authorization: "Bearer acme" } })
      )
      yield* Effect.forkScoped(
        Effect.promise(async () => {
          for await (const chunk of body ?? []) {
            comments += new TextDecoder().decode(chunk).split(": alive\n\n").length - 1
          }
        })
      )
      yield* until(
        Effect.sync(() => comments),
        (count) => count > 20
      )
      assert.strictEqual(observer.reconnected(), 1)
      assert.strictEqual(server.accepted(), 2)
    })
  )

  it.effect("are asked for anew, with one warning, after three silent times of keep-alive", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response, _, index) =>
        index === 1 ? response.destroy() : stream(response, hello)
      )
      const opened = yield* openLayer(agentLayer(server.url))
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      yield* TestClock.adjust("44999 millis")
      assert.strictEqual(server.asked.length, 1)
      yield* TestClock.adjust("1 millis")
      yield* until(
        Effect.sync(() => opened.lines),
        (lines) => lines.length === 1
      )
      assert.match(
        opened.lines[0] ?? "",
        /^Warn: Hints of stops do not arrive.* said nothing for 45s/
      )
      yield* TestClock.adjust("100 millis")
      yield* until(
        Effect.sync(() => server.asked.length),
        (asked) => asked === 2
      )
      yield* untilLater(
        Effect.sync(() => server.asked.length),
        (asked) => asked === 3,
        "50 millis"
      )
      yield* observer.hearsReconnected(2)
      assert.match(opened.lines[1] ?? "", /^Info: Hints of stops come again, after/)
      assert.strictEqual(opened.lines.length, 2)
      yield* Effect.promise(() => server.until(() => server.connected() === 1))
    })
  )

  it.effect("are asked for later and later, five seconds at most", () =>
    Effect.gen(function* () {
      let asked = 0
      const nobody = HttpClient.make((request) =>
        Effect.suspend(() => {
          asked++
          return Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, description: "nobody" })
            })
          )
        })
      )
      const opened = yield* openLayer(
        HttpMessageStore.layer({ baseUrl: "http://agents", token: Redacted.make("acme") }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, nobody))
        )
      )
      yield* observe(opened.signal)
      yield* TestClock.adjust(0)
      for (const [index, pause] of [100, 200, 400, 800, 1600, 3200, 5000, 5000].entries()) {
        assert.strictEqual(asked, index + 1)
        yield* TestClock.adjust(pause - 1)
        assert.strictEqual(asked, index + 1)
        yield* TestClock.adjust(1)
      }
      assert.strictEqual(opened.lines.length, 1)
    })
  )

  it.effect("come again after the connection was cut, and then everything is looked at", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const proxy = yield* TcpProxy.make(Redacted.make(server.url))
      const opened = yield* openLayer(agentLayer(`http://127.0.0.1:${proxy.port}`))
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      yield* proxy.cut
      yield* untilLater(
        Effect.sync(() => opened.lines.length),
        (lines) => lines === 1
      )
      yield* until(Effect.sync(server.connected), (connected) => connected === 0)
      yield* proxy.mend
      yield* untilLater(Effect.sync(observer.reconnected), (times) => times === 2)
      const run = runIn("acme")
      yield* server.signal.publish(run)
      yield* observer.hears(run)
      assert.deepStrictEqual(
        opened.lines.map((line) => line.split(":")[0]),
        ["Warn", "Info"]
      )
    })
  )

  it.effect("need the credentials again every ten minutes, and say nothing of it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      let asked = 0
      const opened = yield* openLayer(
        agentLayer(server.url, {
          token: Effect.sync(() => Redacted.make(asked++ === 0 ? "acme" : "other"))
        })
      )
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      server.tokens.agents.delete("acme")
      yield* TestClock.adjust("10 minutes")
      yield* untilLater(Effect.sync(observer.reconnected), (times) => times === 2, "50 millis")
      assert.deepStrictEqual(server.tokens.seen, ["acme", "acme", "other"])
      const [before, after] = [runIn("acme"), runIn("other")]
      yield* server.signal.publish(before)
      yield* server.signal.publish(after)
      yield* observer.hears(after)
      assert.deepStrictEqual(observer.runs(), [runKey(after)])
      assert.deepStrictEqual(opened.lines, [])
    })
  )

  it.effect("wait for the time that the server names", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response, _, index) =>
        index === 0
          ? refuse(response, 503, "unavailable", { "retry-after": "8" })
          : stream(response, hello)
      )
      const opened = yield* openLayer(agentLayer(server.url))
      const observer = yield* observe(opened.signal)
      yield* until(
        Effect.sync(() => opened.lines.length),
        (lines) => lines === 1
      )
      yield* TestClock.adjust("7990 millis")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.strictEqual(server.asked.length, 1)
      yield* TestClock.adjust("10 millis")
      yield* observer.hearsReconnected(1)
    })
  )

  it.effect("go on for all when the server's own signal fails, and everything is looked at", () =>
    Effect.gen(function* () {
      const signal = yield* countingSignal
      const server = yield* serverWith(signal.layer)
      const { signal: heard } = yield* openAgent(server.url)
      const observer = yield* observe(heard)
      yield* observer.hearsReconnected(1)
      signal.setBroken(true)
      yield* server.signal.publish(runIn("acme"))
      yield* untilLater(Effect.sync(observer.reconnected), (times) => times > 1, "20 millis")
      signal.setBroken(false)
      const opened = signal.opened()
      yield* untilLater(Effect.sync(signal.opened), (times) => times > opened, "100 millis")
      const run = runIn("acme")
      yield* server.signal.publish(run)
      yield* observer.hears(run)
      assert.strictEqual(server.accepted(), 1)
    })
  )

  for (const [title, setBroken] of [
    ["fails", "setBroken"],
    ["ends", "setEnded"]
  ] as const) {
    it.effect(`lead to a look after the pause in which the server's own signal ${title}`, () =>
      Effect.gen(function* () {
        const signal = yield* countingSignal
        const server = yield* serverWith(signal.layer)
        const { signal: heard } = yield* openAgent(server.url)
        const observer = yield* observe(heard)
        yield* observer.hearsReconnected(1)
        signal[setBroken](true)
        yield* server.signal.publish(runIn("acme"))
        yield* until(Effect.sync(signal.open), (open) => open === 0)
        yield* observer.hearsReconnected(2)
        signal[setBroken](false)
        // Nobody hears this one; and one comes who does not know that.
        yield* server.signal.publish(runIn("acme"))
        const late = yield* openAgent(server.url)
        const newcomer = yield* observe(late.signal)
        yield* newcomer.hearsReconnected(1)
        yield* server.signal.publish(runIn("acme"))
        yield* TestClock.adjust("100 millis")
        yield* until(Effect.sync(signal.open), (open) => open === 1)
        yield* observer.hearsReconnected(3)
        yield* newcomer.hearsReconnected(2)
      })
    )
  }

  it.effect("are subscribed to later and later while the server's own signal ends at once", () =>
    Effect.gen(function* () {
      const signal = yield* countingSignal
      const server = yield* serverWith(signal.layer)
      const { signal: heard } = yield* openAgent(server.url)
      const observer = yield* observe(heard)
      yield* observer.hearsReconnected(1)
      // Each subscription hears one hint, and fails.
      for (const [index, pause] of [100, 200, 400, 800, 1600, 3200, 5000, 5000].entries()) {
        signal.setBroken(true)
        yield* server.signal.publish(runIn("acme"))
        yield* until(Effect.sync(signal.open), (open) => open === 0)
        signal.setBroken(false)
        yield* TestClock.adjust(pause - 1)
        assert.strictEqual(signal.opened(), index + 1)
        yield* TestClock.adjust(1)
        yield* until(Effect.sync(signal.opened), (opened) => opened === index + 2)
      }
      // One that has lasted is begun anew at once.
      yield* TestClock.adjust("5 seconds")
      signal.setBroken(true)
      yield* server.signal.publish(runIn("acme"))
      yield* until(Effect.sync(signal.open), (open) => open === 0)
      signal.setBroken(false)
      yield* TestClock.adjust("100 millis")
      yield* until(Effect.sync(signal.open), (open) => open === 1)
    })
  )

  const odd: ReadonlyArray<readonly [title: string, answer: Answer]> = [
    ["a page", (response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>")],
    ["JSON", (response) => json(response, 200, {})],
    ["nothing", (response) => response.writeHead(204).end()],
    ["an end at once", (response) => stream(response).end()],
    ["an event that is none", (response) => stream(response, "data: {}\n\n")],
    ["an event that is no JSON", (response) => stream(response, "data: stop!\n\n")],
    ["an error", (response) => response.writeHead(500).end()],
    ["a redirect", (response) => response.writeHead(302, { location: "/" }).end()]
  ]
  for (const [title, answer] of odd) {
    it.effect(`are no hints if they are ${title}: one warning, and asked for again`, () =>
      Effect.gen(function* () {
        const server = yield* scripted(answer)
        const opened = yield* openLayer(agentLayer(server.url))
        const observer = yield* observe(opened.signal)
        yield* untilLater(
          Effect.sync(() => opened.lines.length > 0 && server.asked.length > 3),
          (isSo) => isSo,
          "100 millis"
        )
        assert.deepStrictEqual(observer.runs(), [])
        assert.strictEqual(opened.linesAt("Warn").length, opened.linesAt("Info").length + 1)
      })
    )
  }

  it.effect("leave no connection behind when the layer closes while somebody listens", () =>
    Effect.gen(function* () {
      const signal = yield* countingSignal
      const server = yield* serverWith(signal.layer)
      const opened = yield* openLayer(agentLayer(server.url))
      const observer = yield* observe(opened.signal)
      yield* observer.hearsReconnected(1)
      const listening = yield* Effect.forkChild(Stream.runDrain(opened.signal.hints), {
        startImmediately: true
      })
      yield* opened.close
      yield* Fiber.join(listening)
      yield* until(Effect.sync(server.connected), (connected) => connected === 0)
      yield* until(Effect.sync(signal.open), (open) => open === 0)
    })
  )
})
