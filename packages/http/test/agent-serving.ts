/** A store over HTTP as the contract suite wants one: for an agent that is given what it is asked for. */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { type MessageStore, ProcessId, type Run, RunRecord, runKey } from "effect-cancellation"
import { openAgent, startServer } from "./support/agentFixture.ts"

// The suite makes a company for each run. An agent is for one, or for the runs it is given: so this
// one is given each run as the suite first names it, as a queue would give it jobs.
export const serving = Effect.fnUntraced(function* (backing: Layer.Layer<MessageStore>) {
  const server = yield* startServer({
    backing,
    minLeaseTtl: "1 millis",
    maxLeaseTtl: "1 hour",
    sweepAfter: 0
  })
  const given = new Map<string, Run>()
  const agent = yield* openAgent(server.url, { token: Redacted.make("fleet") })
  const give = (runs: ReadonlyArray<Run>) =>
    Effect.sync(() => {
      for (const run of runs) {
        given.delete(runKey(run))
        given.set(runKey(run), run)
      }
      // A job ends some time: with all of them the server would look through thousands each time.
      for (const key of given.keys()) {
        if (given.size <= 500 + runs.length) break
        given.delete(key)
      }
      server.tokens.agents.set("fleet", {
        _tag: "Runs",
        agent: "fleet",
        runs: Array.from(given.values())
      })
    })
  const store: MessageStore["Service"] = {
    ...agent.store,
    stopRequests: (runs) => Effect.andThen(give(runs), agent.store.stopRequests(runs)),
    startRuns: (runs, lease) => Effect.andThen(give(runs), agent.store.startRuns(runs, lease)),
    advanceRuns: (changes) =>
      Effect.andThen(give(changes.map(({ run }) => run)), agent.store.advanceRuns(changes))
  }
  return { server, store }
})

/** The same, with what people ask asked of the server. */
export const servingAll = (backing: Layer.Layer<MessageStore>) =>
  Effect.map(serving(backing), ({ server, store }): MessageStore["Service"] => ({
    ...store,
    supports: { ...store.supports, stops: true, find: true, erasure: true },
    requestStop: server.store.requestStop,
    findRuns: (query) => Effect.map(server.store.findRuns(query), (found) => found.map(asNamed)),
    forget: server.store.forget
  }))

// The server's own store has the names of processes as it binds them to their agents.
const asNamed = ({ owner, ...record }: RunRecord) =>
  RunRecord.make({
    ...record,
    ...(owner === undefined ? {} : { owner: ProcessId.make(owner.replace(/^[\w-]{16}:/, "")) })
  })
