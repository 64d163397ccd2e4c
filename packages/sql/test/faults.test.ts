// 400 agents in two processes, stops arriving all the time, and a database that has its days.
import { assert, it } from "@effect/vitest"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { vi } from "vitest"
import * as Trial from "./agents/Trial.ts"
import * as Postgres from "./support/Postgres.ts"
import * as TcpProxy from "./support/TcpProxy.ts"
import { until } from "./support/until.ts"

vi.setConfig({ testTimeout: 90_000 })

const stopped = /^Hints of stops do not arrive/
const again = /^Hints of stops come again/

const operator = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const connection = yield* PgConnection.make({ url, applicationName: "operator" })
  return {
    run: (statement: string) => connection.query(statement),
    terminate: (which: string) =>
      connection.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name <> 'operator' AND ${which}`)
  }
})

it.live("the listening connections are terminated", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const { terminate } = yield* operator(url)
    const trial = yield* Trial.make({ direct: url, sweeps: true })
    yield* trial.underStops(
      Effect.gen(function* () {
        for (const times of [1, 2, 3]) {
          yield* trial.moreDetected(30)
          yield* trial.fault(terminate(`query LIKE 'LISTEN "effect_cancellation_probe%'`))
          yield* trial.said(stopped, 2 * times)
          yield* trial.said(again, 2 * times)
        }
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("The listening connections terminated, three times")
    Trial.assertKept(figures, 100)
  })
)

it.live("all connections are terminated", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const { terminate } = yield* operator(url)
    const trial = yield* Trial.make({ direct: url, sweeps: true })
    yield* trial.underStops(
      Effect.gen(function* () {
        for (const times of [1, 2, 3]) {
          yield* trial.moreDetected(30)
          yield* trial.fault(terminate("true"))
          yield* trial.said(again, 2 * times)
        }
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("All connections terminated, three times")
    Trial.assertKept(figures, 100)
  })
)

it.live("the table is locked for longer than pollTimeout", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const { run } = yield* operator(url)
    const trial = yield* Trial.make({ direct: url, sweeps: true })
    yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        yield* trial.fault(
          Effect.gen(function* () {
            yield* run("BEGIN")
            yield* run("LOCK TABLE agent_runs IN ACCESS EXCLUSIVE MODE")
            yield* trial.said(/^The store cannot be asked for stops/, 2)
            yield* Effect.sleep("4 seconds")
            yield* run("COMMIT")
          })
        )
        yield* trial.said(/^The store answers again/, 2)
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("The table locked")
    Trial.assertKept(figures, 60)
  })
)

it.live("the listening connections are frozen", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const trial = yield* Trial.make({ direct: url, listenUrl: proxy.url, sweeps: true })
    yield* trial.underStops(
      Effect.gen(function* () {
        yield* trial.moreDetected(30)
        // Polling goes on: while it lasts, the limit holds as well, so that it is no fault here.
        yield* proxy.freeze
        yield* trial.said(stopped, 2)
        yield* trial.moreDetected(30)
        yield* proxy.thaw
        yield* trial.said(again, 2)
        yield* trial.moreDetected(30)
      })
    )
    const { figures } = yield* trial.finish("The listening connections frozen")
    Trial.assertKept(figures, 90)
    const ways = new Set(trial.entries().map(({ detections }) => detections[0]?.by))
    assert.includeMembers(Array.from(ways), ["poll", "hint"])
  })
)

it.live("a stop that nobody could announce is found when the listening connection is back", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const trial = yield* Trial.make({
      direct: url,
      listenUrl: proxy.url,
      agents: 5,
      // No poll comes to the rescue within the test.
      settings: { pollInterval: 600_000 }
    })
    for (const times of [1, 2]) {
      yield* proxy.cut
      yield* trial.said(stopped, 2 * times)
      const missed = trial.entries().filter(({ isAimed, ended }) => !isAimed && ended === 0)
      yield* Effect.forEach(missed.slice(0, 5), trial.stopRun)
      yield* trial.fault(proxy.mend)
      yield* trial.said(again, 2 * times)
      yield* until(
        Effect.sync(() => missed.slice(0, 5).map(({ detections }) => detections[0]?.by)),
        (ways) => ways.every((by) => by === "hint"),
        "10 seconds"
      )
    }
    const { figures } = yield* trial.finish("Stops while nothing listened, and no poll")
    assert.deepInclude(figures, { requested: 10, detected: 10, lost: 0, doubled: 0, unasked: 0 })
  })
)
