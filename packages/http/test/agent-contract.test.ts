import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { MessageRef, MessageStore, Run, runKey, StopHint, StopSignal } from "effect-cancellation"
import { MessageStoreContract, StopSignalContract } from "effect-cancellation-testing"
import { openAgent, startServer } from "./support/agentFixture.ts"
import { serving, servingAll } from "./agent-serving.ts"

const inMemory = (options: { readonly tombstoneTtl: Duration.Duration }) =>
  Layer.mergeAll(MessageStore.layerMemory(options), StopSignal.layerMemory)

MessageStoreContract.suite(
  "over HTTP, as an agent",
  (options) =>
    Layer.effect(
      MessageStore,
      Effect.map(serving(inMemory(options)), ({ store }) => store)
    ),
  { supports: { stops: false, find: false, erasure: false, hints: true } }
)

MessageStoreContract.suite(
  "over HTTP, with stops asked of the server",
  (options) => Layer.effect(MessageStore, servingAll(inMemory(options))),
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

// As a queue would give it jobs: each run when the suite first names it, to the same token.
StopSignalContract.suite(
  "over HTTP, for named runs",
  Layer.effect(
    StopSignal,
    Effect.gen(function* () {
      const server = yield* startServer()
      const runs: Array<Run> = []
      server.tokens.agents.set("fleet", { _tag: "Runs", agent: "fleet", runs })
      const agent = yield* openAgent(server.url, { token: Redacted.make("fleet") })
      return {
        publish: (run: Run) =>
          Effect.gen(function* () {
            runs.push(run)
            yield* Effect.orDie(agent.store.stopRequests([run]))
            yield* server.signal.publish(run)
          }),
        hints: agent.signal.hints
      }
    })
  )
)
