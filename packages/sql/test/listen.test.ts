// A process that only takes stops, and need not hear of any.
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CancellationWatcher, MessageRepo, RunQuery } from "effect-cancellation"
import { Migrations } from "../src/index.ts"
import * as PostgresStores from "../src/Postgres.ts"
import { freshRun, operator, timed } from "./PgStopSignal.fixture.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

/** A process of its own, with what `Postgres.layer` takes. */
const openProcess = Effect.fnUntraced(function* (options: PostgresStores.PostgresOptions) {
  const stores = Migrations.layer.pipe(Layer.provideMerge(PostgresStores.layer(options)))
  const repo = MessageRepo.layer().pipe(Layer.provide(stores))
  return yield* Layer.build(Layer.fresh(repo))
})

it.live("Postgres.layer listens to nothing with listen: false, and its stops arrive by push", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const { connections, listeners } = yield* operator(url)
    const takes = { url, listen: false, applicationName: "takes stops" }
    const taker = Context.get(yield* openProcess(takes), MessageRepo)
    const runs = yield* openProcess({ url, applicationName: "runs agents" })
    yield* until(listeners("runs agents"), (pids) => pids.length === 1)
    const times: Array<number> = []
    for (let round = 0; round < 3; round++) {
      const { ref, runId } = freshRun()
      // It polls once an hour, so that only a hint can be why it acts.
      const work = yield* Layer.build(
        Layer.fresh(CancellationWatcher.layer({ ref, runId, pollInterval: "1 hour" }))
      ).pipe(Effect.provide(runs))
      const { cancellation } = Context.get(work, CancellationWatcher)
      const started = taker.findRuns(RunQuery.cases.Refs.make({ refs: [ref] }))
      yield* until(started, (found) => found.length === 1)
      times.push(yield* timed(Effect.andThen(taker.requestStop(ref), cancellation)))
    }
    assert.isBelow(Math.min(...times), 1000)
    assert.include(yield* connections, "takes stops")
    assert.deepStrictEqual(yield* listeners("takes stops"), [])
  })
)
