// Through a PgBouncer in transaction mode, where no two transactions need have the same connection.
import { assert, beforeEach, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import * as Trial from "./agents/Trial.ts"
import * as PgBouncer from "./support/PgBouncer.ts"
import * as Postgres from "./support/Postgres.ts"

vi.setConfig({ testTimeout: 90_000 })

beforeEach(PgBouncer.skipWithout)

const behind = Effect.fnUntraced(function* (options?: { readonly listensDirectly: boolean }) {
  const { url } = yield* Postgres.database
  const bouncer = yield* PgBouncer.make(url)
  return yield* Trial.make({
    direct: url,
    url: bouncer.url,
    stopsUrl: bouncer.url,
    ...(options?.listensDirectly === true ? { listenUrl: url } : {}),
    processes: ["one"],
    // PgBouncer knows prepared statements from 1.21 on, and there only if it is told to.
    settings: { prepare: false },
    sweeps: true
  })
})

it.live("works, with push if it listens past it", () =>
  Effect.gen(function* () {
    const trial = yield* behind({ listensDirectly: true })
    yield* trial.underStops(trial.moreDetected(60))
    yield* trial.complete(20)
    const { figures, rows } = yield* trial.finish("Through PgBouncer, listening directly")
    Trial.assertKept(figures, 60)
    assert.lengthOf(
      rows.filter(({ outcome }) => outcome === "completed"),
      20
    )
    const ways = trial.entries().flatMap(({ detections }) => detections.map(({ by }) => by))
    assert.isAtLeast(ways.filter((by) => by === "hint").length, 50)
    assert.deepStrictEqual(trial.journal.said(/Hints/), [])
  })
)

it.live("works, with one warning and by polling if it listens through it", () =>
  Effect.gen(function* () {
    const trial = yield* behind()
    yield* trial.underStops(
      Effect.andThen(
        trial.said(/^Hints of stops do not arrive.* set listenUrl/, 1),
        trial.moreDetected(60)
      )
    )
    yield* trial.complete(20)
    const { figures, rows } = yield* trial.finish("Through PgBouncer, listening through it")
    Trial.assertKept(figures, 60)
    assert.lengthOf(
      rows.filter(({ outcome }) => outcome === "completed"),
      20
    )
    const ways = trial.entries().flatMap(({ detections }) => detections.map(({ by }) => by))
    assert.isAtLeast(ways.filter((by) => by === "poll").length, 50)
    assert.lengthOf(trial.journal.said(/Hints/), 1)
  })
)
