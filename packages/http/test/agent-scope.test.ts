import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { MessageRef, ProcessId, Run, RunId, runKey, StopIntent, UserId } from "effect-cancellation"
import { observe } from "../../sql/test/support/signals.ts"
import {
  type AgentServerUnderTest,
  openAgent,
  post,
  runIn,
  startServer,
  stopOf
} from "./support/agentFixture.ts"

/** What an application may have read from somewhere, and takes for an agent. */
const noAgents = {
  runless: { _tag: "Runs", agent: "a" },
  textual: { _tag: "Runs", agent: "a", runs: "all" },
  refless: { _tag: "Runs", agent: "a", runs: [{ runId: "r" }] },
  quoted: {
    _tag: "Runs",
    agent: "a",
    runs: [{ ref: { chatId: "a'b", messageId: "m" }, runId: "r" }]
  },
  numbered: { _tag: "Runs", agent: 1, runs: [] },
  tagless: { companyId: "acme" },
  typed: { _tag: "Admin" }
}

class Served extends Context.Service<
  Served,
  AgentServerUnderTest & {
    readonly own: Run
    readonly named: Run
    readonly strange: Run
    readonly homeless: Run
  }
>()("test/Served") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const server = yield* startServer({ sweepAfter: 0 })
      const [own, named, strange, homeless] = [
        runIn("acme"),
        runIn("acme"),
        runIn("other"),
        runIn(undefined)
      ]
      server.tokens.agents.set("named", { _tag: "Runs", agent: "named", runs: [named] })
      server.tokens.agents.set("nobody", { _tag: "Runs", agent: "nobody", runs: [] })
      server.tokens.agents.set("nameless", { _tag: "Runs", agent: "", runs: [own] })
      for (const [name, agent] of Object.entries(noAgents)) {
        server.tokens.agents.set(name, JSON.parse(JSON.stringify(agent)))
      }
      server.tokens.agents.set("broken", { _tag: "Company", companyId: "a'b" })
      const intent = StopIntent.make({
        reason: "user",
        requestedBy: UserId.make("ada"),
        note: "a note of ada"
      })
      for (const run of [own, named, strange, homeless]) {
        yield* server.store.startRuns([run], {
          owner: ProcessId.make(`process-${runKey(run).replaceAll("\0", "-")}`),
          ttl: Duration.hours(1)
        })
        yield* server.store.requestStop(stopOf(run), intent)
      }
      return { ...server, own, named, strange, homeless }
    })
  )
}

type Place = "own" | "named" | "strange" | "homeless"
const places: ReadonlyArray<Place> = ["own", "named", "strange", "homeless"]

/** Which runs each token is for; of the last ones none, and they are refused as such. */
const matrix: ReadonlyArray<
  readonly [token: string | undefined, within: ReadonlyArray<Place>, refused?: number]
> = [
  ["acme", ["own", "named"]],
  ["other", ["strange"]],
  ["default", ["homeless"]],
  ["named", ["named"]],
  ["nobody", []],
  [undefined, [], 401],
  ["", [], 401],
  ["expired", [], 401],
  ["gar bled", [], 401],
  ["broken", [], 401],
  ["nameless", [], 401],
  ...Object.keys(noAgents).map((name) => [name, [], 401] as const),
  ["unknowable", [], 503]
]

const routes: ReadonlyArray<readonly [path: string, body: (run: Run) => unknown]> = [
  ["/agent/look", (run) => ({ runs: [run] })],
  ["/agent/start", (run) => ({ runs: [run], lease: { owner: "process", ttl: 30_000 } })],
  ["/agent/advance", (run) => ({ changes: [{ run, to: "observed" }] })],
  ["/agent/lease", () => ({ leases: [{ owner: "process", ttl: 30_000 }] })],
  ["/agent/sweep", () => ({})],
  ["/agent/hints", () => undefined]
]

layer(Served.layer, { excludeTestServices: true })("the scope of an agent", (it) => {
  for (const [token, within, refused] of matrix) {
    const who = token === undefined ? "no token" : `the token "${token}"`

    if (refused !== undefined) {
      for (const [path, body] of routes) {
        it.effect(`${who}: ${path} is refused with ${refused}`, () =>
          Effect.gen(function* () {
            const { own, store, url } = yield* Served
            const before = yield* store.findRuns({ _tag: "Refs", refs: [own.ref] })
            const answer = yield* post(url, token, path, body(own))
            assert.strictEqual(answer.status, refused)
            assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
            assert.strictEqual(answer.headers.get("cache-control"), "no-store")
            assert.strictEqual(answer.headers.get("retry-after"), refused === 503 ? "7" : null)
            assert.notInclude(answer.text, own.ref.chatId)
            assert.deepStrictEqual(yield* store.findRuns({ _tag: "Refs", refs: [own.ref] }), before)
          })
        )
      }
      continue
    }

    for (const place of places) {
      const isWithin = within.includes(place)

      it.effect(`${who}: looks at ${isWithin ? "its" : "no"} ${place} run`, () =>
        Effect.gen(function* () {
          const served = yield* Served
          const run = served[place]
          const { body, status, text } = yield* post(served.url, token, "/agent/look", {
            runs: [run]
          })
          assert.strictEqual(status, 200)
          assert.strictEqual(body.requests.length, isWithin ? 1 : 0)
          assert.strictEqual(body.gone.length, isWithin ? 0 : 1)
          assert.strictEqual(text.includes("a note of ada"), isWithin)
          if (isWithin) return
          // Just as one that does not exist.
          const unknown = yield* post(served.url, token, "/agent/look", {
            runs: [runIn(run.ref.companyId)]
          })
          assert.deepStrictEqual(
            { ...unknown.body, gone: unknown.body.gone.length, now: 0 },
            { ...body, gone: 1, now: 0 }
          )
        })
      )

      it.effect(`${who}: starts ${isWithin ? "its" : "no"} ${place} run`, () =>
        Effect.gen(function* () {
          const served = yield* Served
          const { store, url } = served
          const run = runIn(served[place].ref.companyId)
          const asked = token === "named" && isWithin ? served.named : run
          const answer = yield* post(url, token, "/agent/start", {
            runs: [asked],
            lease: { owner: "a-process", ttl: 60_000 }
          })
          assert.strictEqual(answer.status, isWithin ? 200 : 403)
          if (isWithin) {
            assert.strictEqual(answer.body.records[0].owner, "a-process")
            return
          }
          assert.strictEqual(answer.body.code, "forbidden")
          assert.lengthOf((yield* store.stopRequests([run])).gone, 1)
        })
      )

      it.effect(`${who}: starts nothing at all beside a run that is not its own (${place})`, () =>
        Effect.gen(function* () {
          const served = yield* Served
          if (isWithin) return
          const first = within[0] === undefined ? served.own : served[within[0]]
          const fresh = token === "named" ? first : runIn(first.ref.companyId)
          const before = yield* served.store.findRuns({ _tag: "Refs", refs: [fresh.ref] })
          const { status } = yield* post(served.url, token, "/agent/start", {
            runs: [fresh, served[place]],
            lease: { owner: "another", ttl: 60_000 }
          })
          assert.strictEqual(status, 403)
          assert.deepStrictEqual(
            yield* served.store.findRuns({ _tag: "Refs", refs: [fresh.ref] }),
            before
          )
        })
      )

      it.effect(`${who}: advances ${isWithin ? "its" : "no"} ${place} run`, () =>
        Effect.gen(function* () {
          const served = yield* Served
          const { store, url } = served
          const run = served[place]
          const [before] = yield* store.findRuns({ _tag: "Refs", refs: [run.ref] })
          const { body, status } = yield* post(url, token, "/agent/advance", {
            changes: [{ run, to: "observed" }]
          })
          assert.strictEqual(status, 200)
          assert.strictEqual(body.records.length, isWithin ? 1 : 0)
          const [after] = yield* store.findRuns({ _tag: "Refs", refs: [run.ref] })
          if (isWithin) assert.isDefined(after?.observedAt)
          else assert.deepStrictEqual(after, before)
        })
      )
    }

    it.effect(`${who}: is told of the lost runs that are its own only`, () =>
      Effect.gen(function* () {
        const { homeless, named, own, store, strange, tokens, url } = yield* Served
        // Runs that the store has made anew for this test, with leases that are over.
        const lost = [own, named, strange, homeless].map(({ ref }) => runIn(ref.companyId))
        tokens.agents.set("named", { _tag: "Runs", agent: "named", runs: lost.slice(1, 2) })
        yield* store.startRuns(lost, {
          owner: ProcessId.make(`dead-${crypto.randomUUID()}`),
          ttl: Duration.zero
        })
        yield* post(url, "acme", "/agent/lease", { leases: [{ owner: "alive", ttl: 60_000 }] })
        const { body, status } = yield* post(url, token, "/agent/sweep", {})
        tokens.agents.set("named", { _tag: "Runs", agent: "named", runs: [named] })
        assert.strictEqual(status, 200)
        const keys = new Set(lost.map(runKey))
        const told = body.records.flatMap(({ run }: { readonly run: Run }) =>
          keys.has(runKey(run)) ? [runKey(run)] : []
        )
        assert.deepStrictEqual(
          told,
          lost.filter((_, index) => within.includes(places[index] ?? "own")).map(runKey)
        )
        // Marked all the same.
        assert.lengthOf((yield* store.stopRequests(lost)).lost, 4)
      })
    )
  }
})

describe("what an agent may ask", () => {
  const big = (length: number) => ({ runs: Array.from({ length }, () => runIn("acme")) })
  const bodies: ReadonlyArray<
    readonly [title: string, status: number, path: string, body: unknown]
  > = [
    ["1,000 runs", 200, "/agent/look", big(1000)],
    ["1,001 runs", 400, "/agent/look", big(1001)],
    ["1,001 starts", 400, "/agent/start", big(1001)],
    ["no runs", 200, "/agent/look", { runs: [] }],
    ["no body", 400, "/agent/look", null],
    ["an id with a quote", 400, "/agent/look", { runs: [{ ref: { chatId: "'" }, runId: "r" }] }],
    ["an unknown outcome", 400, "/agent/advance", { changes: [{ run: runIn("acme"), to: "x" }] }],
    ["a lease of 10 minutes", 204, "/agent/lease", { leases: [{ owner: "p", ttl: 600_000 }] }],
    ["a longer lease", 400, "/agent/lease", { leases: [{ owner: "p", ttl: 600_001 }] }],
    ["a lease of a second", 204, "/agent/lease", { leases: [{ owner: "p", ttl: 1000 }] }],
    ["a shorter lease", 400, "/agent/lease", { leases: [{ owner: "p", ttl: 999.9 }] }],
    ["a lease of no time", 400, "/agent/lease", { leases: [{ owner: "p", ttl: 0 }] }],
    ["a lease for ever", 400, "/agent/lease", { leases: [{ owner: "p", ttl: 1e300 }] }],
    ["a lease of a text", 400, "/agent/lease", { leases: [{ owner: "p", ttl: "Infinity" }] }],
    [
      "a longer lease with a start",
      400,
      "/agent/start",
      { ...big(1), lease: { owner: "p", ttl: 600_001 } }
    ],
    ["4 MiB and more", 413, "/agent/look", { runs: ["x".repeat(4 * 1024 * 1024)] }]
  ]
  for (const [title, status, path, body] of bodies) {
    it.effect(`${title}: ${status}`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const answer = yield* post(server.url, "acme", path, body)
        assert.strictEqual(answer.status, status)
        if (status >= 400) assert.strictEqual(answer.body.status, status)
        assert.isBelow(status >= 400 ? answer.text.length : 0, 1000)
      })
    )
  }

  it.effect("nothing from a page, and nothing that is no JSON", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const send = (headers: Readonly<Record<string, string>>) =>
        Effect.promise(async () => {
          const { status } = await fetch(`${server.url}/agent/look`, {
            method: "POST",
            headers: {
              authorization: "Bearer acme",
              "content-type": "application/json",
              ...headers
            },
            body: JSON.stringify({ runs: [] })
          })
          return status
        })
      assert.strictEqual(yield* send({}), 200)
      assert.strictEqual(yield* send({ origin: server.url }), 403)
      assert.strictEqual(yield* send({ "sec-fetch-site": "cross-site" }), 403)
      assert.strictEqual(yield* send({ "content-type": "text/plain" }), 415)
    })
  )
})

describe("named runs", () => {
  const { ref, runId } = runIn("acme", "one")
  const one = Run.make({ ref: MessageRef.of({ ...ref, userId: "ada" }), runId })
  const of = (change: Partial<Parameters<typeof MessageRef.of>[0]>, id: string = runId) =>
    Run.make({ ref: MessageRef.of({ ...one.ref, ...change }), runId: RunId.make(id) })
  const { userId: _userId, ...ofNobody } = one.ref
  const { companyId: _companyId, ...ofNoCompany } = one.ref

  const others: ReadonlyArray<readonly [title: string, run: Run]> = [
    ["another run of the message", of({}, "run-two")],
    ["a namesake in another company", of({ companyId: "other" })],
    ["a namesake in no company", Run.make({ ref: MessageRef.of(ofNoCompany), runId })],
    ["a namesake of another user", of({ userId: "bob" })],
    ["a namesake of no user", Run.make({ ref: MessageRef.of(ofNobody), runId })],
    ["a namesake in another chat", of({ chatId: "chat-two" })],
    ["another message", of({ messageId: "message-two" })]
  ]
  for (const [title, other] of others) {
    it.effect(`are not ${title}`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        server.tokens.agents.set("named", { _tag: "Runs", agent: "named", runs: [one] })
        yield* server.store.startRuns([other])
        yield* server.store.requestStop(stopOf(other), StopIntent.make({ reason: "user" }))
        const refs = [one.ref, other.ref]
        const before = yield* server.store.findRuns({ _tag: "Refs", refs })
        const ask = (path: string, body: unknown) => post(server.url, "named", path, body)
        assert.lengthOf((yield* ask("/agent/look", { runs: [other] })).body.gone, 1)
        assert.strictEqual((yield* ask("/agent/start", { runs: [one, other] })).status, 403)
        const { body } = yield* ask("/agent/advance", { changes: [{ run: other, to: "observed" }] })
        assert.deepStrictEqual(body.records, [])
        assert.deepStrictEqual(yield* server.store.findRuns({ _tag: "Refs", refs }), before)
        const { signal } = yield* openAgent(server.url, { token: Redacted.make("named") })
        const observer = yield* observe(signal)
        yield* observer.hearsReconnected(1)
        yield* server.signal.publish(other)
        yield* server.signal.publish(one)
        yield* observer.hears(one)
        assert.deepStrictEqual(observer.runs(), [runKey(one)])
      })
    )
  }
})

describe("an agent of no company is one of the tenant default, by whichever name", () => {
  for (const [token, companyId] of [
    ["unnamed", "default"],
    ["named", undefined]
  ] as const) {
    it.effect(`as its ${token} token says, of runs ${companyId ?? "without a company"}`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        server.tokens.agents.set("unnamed", { _tag: "Company" })
        server.tokens.agents.set("named", { _tag: "Company", companyId: "default" })
        const run = runIn(companyId)
        const ask = (path: string, body: unknown) => post(server.url, token, path, body)
        assert.strictEqual((yield* ask("/agent/start", { runs: [run] })).status, 200)
        yield* server.store.requestStop(stopOf(run), StopIntent.make({ reason: "user" }))
        assert.lengthOf((yield* ask("/agent/look", { runs: [run] })).body.requests, 1)
        const { body } = yield* ask("/agent/advance", { changes: [{ run, to: "observed" }] })
        assert.lengthOf(body.records, 1)
        const { signal } = yield* openAgent(server.url, { token: Redacted.make(token) })
        const observer = yield* observe(signal)
        yield* observer.hearsReconnected(1)
        yield* server.signal.publish(run)
        yield* observer.hears(run)
        assert.strictEqual(
          (yield* post(server.url, "acme", "/agent/start", { runs: [run] })).status,
          403
        )
      })
    )
  }
})
