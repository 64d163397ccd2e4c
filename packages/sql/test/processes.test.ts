// Three processes that have nothing in common but the database: this one takes stops, two run agents.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import * as Trial from "./agents/Trial.ts"
import * as Postgres from "./support/Postgres.ts"

vi.setConfig({ testTimeout: 90_000 })

it.live("every stop reaches its run and no other", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const trial = yield* Trial.make({ direct: url, sweeps: true })
    yield* trial.underStops(trial.moreDetected(150))
    yield* trial.complete(40)
    const { figures, rows } = yield* trial.finish("Three processes")
    Trial.assertKept(figures, 150)
    const owners = new Set(rows.map(({ owner }) => owner))
    assert.strictEqual(owners.size, 2)
    const completed = rows.filter(({ outcome }) => outcome === "completed")
    assert.lengthOf(completed, 40)
    // by push, and not only by polling
    const hints = trial.entries().filter(({ detections }) => detections[0]?.by === "hint")
    assert.isAtLeast(hints.length, 50)
  })
)
