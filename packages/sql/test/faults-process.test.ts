// A process that stands still for so long that the others must take it for dead.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import * as Ledger from "./agents/Ledger.ts"
import * as Trial from "./agents/Trial.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

vi.setConfig({ testTimeout: 90_000 })

it.live("a process is stopped for twice its lease, and goes on", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const trial = yield* Trial.make({ direct: url, sweeps: true })
    const [one] = trial.processes
    if (one === undefined) return assert.fail("no process")
    const runs = Effect.map(Ledger.read(url), (rows) =>
      rows.filter(({ run_id }) => trial.journal.entries.get(run_id)?.process === one.name)
    )

    const dead = yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        const lost = yield* trial.fault(
          Effect.gen(function* () {
            yield* one.signal("SIGSTOP")
            yield* Effect.sleep(2 * Trial.leaseTtl)
            const rows = yield* until(runs, (seen) => seen.every(({ outcome }) => outcome !== null))
            const ids = rows.filter(({ outcome }) => outcome === "lost").map((row) => row.run_id)
            const buried = yield* trial.bury(ids)
            yield* one.signal("SIGCONT")
            return buried
          })
        )
        yield* until(
          Effect.sync(() => lost.filter(({ ended }) => ended === 0).length),
          (count) => count === 0
        )
        yield* trial.moreDetected(60)
        return lost
      })
    )

    const { figures, rows } = yield* trial.finish("A process stopped for twice its lease")
    Trial.assertKept(figures, 60)
    // those that run, and not those whose end the store had before or has yet to hear of
    assert.isAbove(dead.length, 190)
    for (const { detections, handled, run } of dead) {
      assert.lengthOf(detections, 1, run.runId)
      assert.strictEqual(handled, 1, run.runId)
      const [row] = rows.filter(({ run_id }) => run_id === run.runId)
      assert.deepInclude(row, { outcome: "lost", writes: 1 }, run.runId)
      if (row?.stopped === false) assert.strictEqual(detections[0]?.reason, "unreachable")
    }
    // with stops that came while it stood still
    assert.isAbove(dead.filter(({ receipt }) => receipt === "Requested").length, 10)
    assert.isAbove(trial.journal.said(/^A run's outcome .* was refused: it is lost/).length, 190)
  })
)
