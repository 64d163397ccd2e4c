import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type MessageStore, ProcessId, type Run, RunQuery } from "effect-cancellation"
import type { AgentInput } from "../src/CurrentAgent.ts"
import { type AgentServerUnderTest, post, runIn, startServer } from "./support/agentFixture.ts"

const owner = ProcessId.make("worker-1")
const recordOf = (store: MessageStore["Service"], run: Run) =>
  Effect.map(store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })), ([record]) => record)

const start = (
  { url }: AgentServerUnderTest,
  token: string,
  runs: ReadonlyArray<Run>,
  ttl: number,
  name = owner
) => post(url, token, "/agent/start", { runs, lease: { owner: name, ttl } })

/** How the run stands after this agent has renewed the lease of that name for a moment, and swept. */
const afterLease = Effect.fnUntraced(function* (
  { store, url }: AgentServerUnderTest,
  token: string,
  run: Run,
  name = owner
) {
  const { status } = yield* post(url, token, "/agent/lease", { leases: [{ owner: name, ttl: 1 }] })
  assert.strictEqual(status, 204)
  yield* Effect.sleep("20 millis")
  assert.strictEqual((yield* post(url, token, "/agent/sweep", {})).status, 200)
  return (yield* recordOf(store, run))?.outcome
})

const named = (agent: string, ...runs: ReadonlyArray<Run>): AgentInput => ({
  _tag: "Runs",
  agent,
  runs
})

describe("the owner of a lease", () => {
  const hasty = { sweepAfter: 0, minLeaseTtl: "1 millis" } as const

  it.live("is bound to a company: an agent of another one cannot end what it has", () =>
    Effect.gen(function* () {
      const server = yield* startServer(hasty)
      const run = runIn("acme")
      yield* start(server, "acme", [run], 60_000)
      server.tokens.agents.set("named", named("acme", run))
      assert.isUndefined(yield* afterLease(server, "other", run))
      assert.isUndefined(yield* afterLease(server, "named", run))
      assert.strictEqual(yield* afterLease(server, "acme", run), "lost")
    })
  )

  it.live("is none of a process that has a database", () =>
    Effect.gen(function* () {
      const server = yield* startServer(hasty)
      const run = runIn("acme")
      yield* server.store.startRuns([run], { owner, ttl: Duration.hours(1) })
      assert.isUndefined(yield* afterLease(server, "acme", run))
      const advanced = yield* post(server.url, "acme", "/agent/advance", {
        changes: [{ run, to: "observed" }]
      })
      assert.isUndefined(advanced.body.records[0].owner)
      assert.strictEqual((yield* recordOf(server.store, run))?.owner, owner)
    })
  )

  it.live("of named runs is bound to the agent, whichever runs its next token names", () =>
    Effect.gen(function* () {
      const server = yield* startServer(hasty)
      const { agents } = server.tokens
      const [first, second] = [runIn("acme"), runIn("other")]
      agents.set("one", named("one", first))
      agents.set("two", named("two", first))
      yield* start(server, "one", [first], 60_000)
      assert.isUndefined(yield* afterLease(server, "two", first))
      agents.set("one", named("one", first, second))
      yield* start(server, "one", [second], 60_000)
      agents.set("one", named("one", second))
      assert.strictEqual(yield* afterLease(server, "one", first), "lost")
      assert.strictEqual((yield* recordOf(server.store, second))?.outcome, "lost")
    })
  )

  it.effect("is told to the agents that it may be, by the name it was given", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const run = runIn("acme")
      server.tokens.agents.set("one", named("one", run))
      const told = Effect.fnUntraced(function* (token: string) {
        const { body } = yield* post(server.url, token, "/agent/advance", {
          changes: [{ run, to: "observed" }]
        })
        return body.records[0].owner
      })
      assert.strictEqual((yield* start(server, "acme", [run], 60_000)).body.records[0].owner, owner)
      assert.strictEqual(yield* told("acme"), owner)
      assert.isUndefined(yield* told("one"))
      assert.strictEqual((yield* start(server, "one", [run], 60_000)).body.records[0].owner, owner)
      assert.strictEqual(yield* told("one"), owner)
      assert.isUndefined(yield* told("acme"))
    })
  )

  it.live("is told of runs that are lost, too", () =>
    Effect.gen(function* () {
      const server = yield* startServer(hasty)
      yield* start(server, "acme", [runIn("acme")], 1)
      yield* Effect.sleep("20 millis")
      const { body } = yield* post(server.url, "acme", "/agent/sweep", {})
      assert.deepStrictEqual(
        body.records.map((record: { readonly owner?: string }) => record.owner),
        [owner]
      )
    })
  )

  it.effect("is stored by a name that every server makes, whatever its length", () =>
    Effect.gen(function* () {
      const stored = Effect.fnUntraced(function* (name: string, agent?: AgentInput) {
        const server = yield* startServer()
        const run = runIn(agent === undefined ? "acme" : "x")
        if (agent?._tag === "Runs") server.tokens.agents.set("acme", { ...agent, runs: [run] })
        const { body, status } = yield* post(server.url, "acme", "/agent/start", {
          runs: [run],
          lease: { owner: name, ttl: 60_000 }
        })
        assert.strictEqual(status, 200)
        assert.strictEqual(body.records[0].owner, name)
        return (yield* recordOf(server.store, run))?.owner ?? ""
      })
      assert.strictEqual(yield* stored("p"), "hDIP4Ff8K17SsUSF:p")
      assert.strictEqual(yield* stored("p", named("one")), "aOO_iloPLyDmRJxv:p")
      for (const length of [237, 238]) {
        const name = "😀".repeat(length)
        assert.isTrue((yield* stored(name)).endsWith(`:${name}`))
      }
      const long = ["a".repeat(239), "a".repeat(255), "😀".repeat(255)]
      const short = yield* Effect.forEach(long, (name) => stored(name))
      assert.deepStrictEqual(
        short.map(({ length }) => length),
        [33, 33, 33]
      )
      assert.strictEqual(new Set(short).size, 3)
      assert.deepStrictEqual(yield* Effect.forEach(long, (name) => stored(name)), short)
    })
  )

  it.live("has one lease by a name that is too long to be kept, too", () =>
    Effect.gen(function* () {
      const server = yield* startServer(hasty)
      const run = runIn("acme")
      const long = ProcessId.make("a".repeat(255))
      yield* start(server, "acme", [run], 60_000, long)
      assert.isUndefined(yield* afterLease(server, "acme", run))
      assert.strictEqual(yield* afterLease(server, "acme", run, long), "lost")
    })
  )
})
