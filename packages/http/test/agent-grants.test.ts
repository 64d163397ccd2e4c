// Runs that an agent is given after its stream of hints began.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { type Run, runKey } from "effect-cancellation"
import { observe, untilLater } from "../../sql/test/support/signals.ts"
import { until } from "../../sql/test/support/until.ts"
import type { AgentInput } from "../src/CurrentAgent.ts"
import { openAgent, post, runIn, startServer } from "./support/agentFixture.ts"

const named = (...runs: ReadonlyArray<Run>): AgentInput => ({ _tag: "Runs", agent: "fleet", runs })

const [first, second, third] = [runIn("acme"), runIn("acme"), runIn("other")]
const [one, two, three] = [runKey(first), runKey(second), runKey(third)]

/** A server whose agent `fleet` listens by a token for the first run. */
const listening = Effect.gen(function* () {
  const server = yield* startServer()
  const { agents } = server.tokens
  agents.set("token", named(first))
  const agent = yield* openAgent(server.url, { token: Redacted.make("token") })
  const observer = yield* observe(agent.signal)
  yield* observer.hearsReconnected(1)
  /** What is heard of all three runs, which is published in their order; the last one must be. */
  const heard = Effect.fnUntraced(function* (last: Run) {
    const before = observer.runs().length
    for (const run of [first, second, third, last]) yield* server.signal.publish(run)
    yield* until(
      Effect.sync(() => observer.runs().slice(before)),
      (runs) => runs.filter((key) => key === runKey(last)).length === 2
    )
    return observer.runs().slice(before, -1)
  })
  return { server, agents, agent, observer, heard }
})

describe("the hints of an agent with named runs", () => {
  const asking: ReadonlyArray<
    readonly [route: string, ask: (run: Run) => readonly [path: string, body: unknown]]
  > = [
    ["a look", (run) => ["/agent/look", { runs: [run] }]],
    ["a start", (run) => ["/agent/start", { runs: [run] }]],
    ["a change", (run) => ["/agent/advance", { changes: [{ run, to: "observed" }] }]],
    ["a sweep", () => ["/agent/sweep", {}]]
  ]
  for (const [route, ask] of asking) {
    it.effect(`are of runs granted since, once ${route} has shown the token again`, () =>
      Effect.gen(function* () {
        const { agents, heard, observer, server } = yield* listening
        assert.deepStrictEqual(yield* heard(first), [one])
        agents.set("token", named(first, second))
        const { status } = yield* post(server.url, "token", ...ask(second))
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(yield* heard(second), [one, two])
        // Nothing was missed: a start is answered with the stops there are.
        assert.strictEqual(observer.reconnected(), 1)
        assert.strictEqual(server.accepted(), 2)
      })
    )
  }

  it.effect("are of no run any more that the token has lost", () =>
    Effect.gen(function* () {
      const { agents, agent, heard } = yield* listening
      agents.set("token", named(first, second))
      yield* agent.store.stopRequests([first])
      assert.deepStrictEqual(yield* heard(second), [one, two])
      agents.set("token", named(second))
      yield* agent.store.stopRequests([second])
      assert.deepStrictEqual(yield* heard(second), [two])
    })
  )

  it.effect(
    "are as each token says of an agent that has several, or of another with that name",
    () =>
      Effect.gen(function* () {
        const { agents, heard, server } = yield* listening
        agents.set("another", named(third))
        agents.set("company", { _tag: "Company", companyId: "other" })
        for (const token of ["another", "company"]) {
          assert.strictEqual((yield* post(server.url, token, "/agent/sweep", {})).status, 200)
        }
        const beside = yield* openAgent(server.url, { token: Redacted.make("another") })
        const observer = yield* observe(beside.signal)
        yield* observer.hearsReconnected(1)
        assert.deepStrictEqual(yield* heard(first), [one])
        yield* until(Effect.sync(observer.runs), (runs) => runs.length === 1)
        assert.deepStrictEqual(observer.runs(), [three])
      })
  )

  it.effect("are of all streams that show the same token, and of those that stay", () =>
    Effect.gen(function* () {
      const { agents, agent, heard, server } = yield* listening
      const leaving = yield* openAgent(server.url, { token: Redacted.make("token") })
      const observer = yield* observe(leaving.signal)
      yield* observer.hearsReconnected(1)
      agents.set("token", named(first, second))
      yield* agent.store.stopRequests([second])
      yield* heard(second)
      yield* observer.hears(second)
      yield* observer.leave
      yield* until(Effect.sync(server.hearing), (hearing) => hearing === 1)
      agents.set("token", named(second))
      yield* agent.store.stopRequests([second])
      assert.deepStrictEqual(yield* heard(second), [two])
    })
  )
})

describe("a start of a run that the token is not for", () => {
  /** An agent whose first token is for one run, and how often it has asked for a token. */
  const openStore = Effect.fnUntraced(function* (later: Effect.Effect<string, string>) {
    const server = yield* startServer()
    server.tokens.agents.set("old", named(first))
    server.tokens.agents.set("new", named(first, second))
    let asked = 0
    const agent = yield* openAgent(server.url, {
      token: Effect.suspend(() =>
        Effect.map(asked++ === 0 ? Effect.succeed("old") : later, (text) => Redacted.make(text))
      )
    })
    return { ...agent, server, asked: () => asked }
  })

  it.effect("is sent again with a new one, and hints come by that one from then on", () =>
    Effect.gen(function* () {
      const { asked, server, signal, store } = yield* openStore(Effect.succeed("new"))
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      assert.lengthOf(yield* store.startRuns([second]), 1)
      assert.strictEqual(asked(), 2)
      yield* untilLater(Effect.sync(observer.reconnected), (times) => times === 2, "50 millis")
      yield* server.signal.publish(second)
      yield* observer.hears(second)
      assert.deepStrictEqual(
        server.tokens.seen.filter((_, index) => server.requests()[index] === "GET /agent/hints"),
        ["old", "new"]
      )
    })
  )

  for (const [title, later] of [
    ["there is no other", Effect.succeed("old")],
    ["no other can be had", Effect.fail("away")]
  ] as const) {
    it.effect(`fails if ${title}, which is asked for once a second, and harms nothing else`, () =>
      Effect.gen(function* () {
        const { asked, signal, store } = yield* openStore(later)
        const observer = yield* observe(signal)
        yield* observer.hearsReconnected(1)
        for (const times of [2, 3]) {
          for (const _ of [1, 2, 3]) {
            const error = yield* Effect.flip(store.startRuns([second]))
            assert.include(error.message, "403")
            assert.lengthOf(yield* store.startRuns([first]), 1)
          }
          assert.strictEqual(asked(), times)
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(observer.reconnected(), 1)
      })
    )
  }

  it.effect(
    "waits with others for the same new token, while all else goes on with the old one",
    () =>
      Effect.gen(function* () {
        const { asked, store } = yield* openStore(Effect.as(Effect.sleep("3 seconds"), "new"))
        const starts = yield* Effect.forkChild(
          Effect.all([store.startRuns([second]), store.startRuns([second])], {
            concurrency: "unbounded"
          })
        )
        yield* until(Effect.sync(asked), (times) => times === 2)
        assert.lengthOf((yield* store.stopRequests([first])).gone, 1)
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(
          (yield* Fiber.join(starts)).map((records) => records.length),
          [1, 1]
        )
        assert.strictEqual(asked(), 2)
      })
  )
})

describe("a new token", () => {
  it.effect("is shown by the stream of hints too, whoever needed it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { agents } = server.tokens
      agents.set("old", named(first)).set("new", named(first, second))
      let asked = 0
      const { signal, store } = yield* openAgent(server.url, {
        token: Effect.sync(() => Redacted.make(asked++ === 0 ? "old" : "new"))
      })
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      agents.delete("old")
      yield* store.stopRequests([first])
      yield* untilLater(Effect.sync(observer.reconnected), (times) => times === 2, "50 millis")
      yield* server.signal.publish(second)
      yield* observer.hears(second)
      yield* until(Effect.sync(server.hearing), (hearing) => hearing === 1)
    })
  )
})
