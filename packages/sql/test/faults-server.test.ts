// A server that is restarted, and one that is away for long, under 400 agents.
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import * as Ledger from "./agents/Ledger.ts"
import * as Trial from "./agents/Trial.ts"
import * as PostgresServer from "./support/PostgresServer.ts"
import { until } from "./support/until.ts"

vi.setConfig({ testTimeout: 120_000 })

it.live("the server is restarted ten times", () =>
  Effect.gen(function* () {
    const server = yield* PostgresServer.make
    const trial = yield* Trial.make({ direct: server.url, sweeps: true })
    yield* trial.underStops(
      Effect.gen(function* () {
        for (const times of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
          yield* trial.moreDetected(15)
          yield* trial.fault(server.restart(times % 2 === 0 ? "immediate" : "fast"))
        }
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("Ten restarts of the server, five of them immediate")
    Trial.assertKept(figures, 150)
  })
)

// Shortened from five minutes: every time-out is as much shorter (a lease of 2 s for one of 30 s), so
// that the same is over many times before the store is back: leases, attempts, pauses between them.
it.live("the store is away for many leases", () =>
  Effect.gen(function* () {
    const server = yield* PostgresServer.make
    const trial = yield* Trial.make({ direct: server.url, sweeps: true })
    yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        yield* trial.fault(
          Effect.gen(function* () {
            yield* server.stop("fast")
            yield* trial.said(/^The store cannot be asked for stops/, 2)
            yield* trial.complete(20)
            yield* Effect.sleep("20 seconds")
            yield* server.start
          })
        )
        yield* trial.said(/^The store answers again/, 2)
        yield* trial.moreDetected(60)
      })
    )
    const { figures, rows } = yield* trial.finish("The store away for ten leases")
    Trial.assertKept(figures, 90)
    assert.lengthOf(
      rows.filter(({ outcome }) => outcome === "completed"),
      20
    )
  })
)

it.live("the store is away for longer than last writes are tried", () =>
  Effect.gen(function* () {
    const server = yield* PostgresServer.make
    const trial = yield* Trial.make({
      direct: server.url,
      agents: 50,
      settings: { finalWriteTimeout: 2000 }
    })
    const early = yield* trial.fault(
      Effect.gen(function* () {
        yield* server.stop("fast")
        yield* trial.said(/^The store cannot be asked for stops/, 2)
        const ended = yield* trial.complete(30)
        yield* until(
          Effect.sync(() => trial.journal.sumOf(/^Given up: (\d+) last writes?/)),
          (count) => count === 30
        )
        yield* server.start
        return ended
      })
    )
    yield* trial.said(/^The store answers again/, 2)
    const late = yield* trial.complete(30)
    yield* trial.underStops(trial.moreDetected(30))
    const { figures, rows } = yield* trial.finish(
      "The store away for longer than last writes are tried"
    )
    const outcomes = (entries: typeof early) => {
      const ids = new Set(entries.map(({ run }): string => run.runId))
      const found = rows.filter(({ run_id }) => ids.has(run_id)).map(({ outcome }) => outcome)
      return Array.from(new Set(found))
    }
    // Not called lost while their process lived, and not completed behind anybody's back.
    assert.deepStrictEqual(outcomes(early), [null])
    assert.deepStrictEqual(outcomes(late), ["completed"])
    Trial.assertKept({ ...figures, leftOpen: figures.leftOpen - 30 }, 30)

    yield* trial.repo.sweepLost
    yield* until(Ledger.read(server.url), (seen) => seen.every(({ outcome }) => outcome !== null))
    const swept = (yield* Ledger.read(server.url)).filter(({ outcome }) => outcome === "lost")
    assert.lengthOf(swept, 30)
  })
)
