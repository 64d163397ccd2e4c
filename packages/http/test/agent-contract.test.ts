import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { type Duration, Redacted } from "effect"
import { MessageRef, MessageStore, Run, runKey, StopHint, StopSignal } from "effect-cancellation"
import { MessageStoreContract, StopSignalContract } from "effect-cancellation-testing"
import { openAgent, startServer } from "./agent-fixture.ts"

// The suite makes a company for each run. An agent is for one, or for the runs it is given: so this
// one is given each run as the suite first names it, as a queue would give it jobs.
const serving = Effect.fnUntraced(function* (options: {
  readonly tombstoneTtl: Duration.Duration
}) {
  const server = yield* startServer({
    backing: Layer.mergeAll(MessageStore.layerMemory(options), StopSignal.layerMemory),
    maxLeaseTtl: "1 hour",
    sweepAfter: 0
  })
  const given = new Map<string, Run>()
  const agent = yield* openAgent(server.url, { token: Redacted.make("fleet") })
  const give = (runs: ReadonlyArray<Run>) =>
    Effect.sync(() => {
      for (const run of runs) given.set(runKey(run), run)
      server.tokens.agents.set("fleet", { _tag: "Runs", runs: Array.from(given.values()) })
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

MessageStoreContract.suite(
  "over HTTP, as an agent",
  (options) =>
    Layer.effect(
      MessageStore,
      Effect.map(serving(options), ({ store }) => store)
    ),
  { supports: { stops: false, find: false, erasure: false, hints: true } }
)

MessageStoreContract.suite(
  "over HTTP, with stops asked of the server",
  (options) =>
    Layer.effect(
      MessageStore,
      Effect.map(serving(options), ({ server, store }) => ({
        ...store,
        supports: { ...store.supports, stops: true, find: true, erasure: true },
        requestStop: server.store.requestStop,
        findRuns: server.store.findRuns,
        forget: server.store.forget
      }))
    ),
  { supports: { hints: true } }
)

// Of one company, as an agent is: the suite's own companies are put back where they were.
StopSignalContract.suite(
  "over HTTP, published by the server",
  Layer.effect(
    StopSignal,
    Effect.gen(function* () {
      const server = yield* startServer()
      const agent = yield* openAgent(server.url, { token: Redacted.make("default") })
      const published = new Map<string, Run>()
      return {
        publish: (run: Run) => {
          const { companyId: _companyId, ...ref } = run.ref
          const sent = Run.make({ ref: MessageRef.make(ref), runId: run.runId })
          published.set(runKey(sent), run)
          return server.signal.publish(sent)
        },
        hints: Stream.map(agent.signal.hints, (hint) =>
          hint._tag === "Hint"
            ? StopHint.cases.Hint.make({ run: published.get(runKey(hint.run)) ?? hint.run })
            : hint
        )
      }
    })
  )
)
