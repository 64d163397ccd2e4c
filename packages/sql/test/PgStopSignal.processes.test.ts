import { assert, beforeEach, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Redacted from "effect/Redacted"
import { CancellationWatcher, MessageRepo, RunQuery, StopSignal } from "effect-cancellation"
import { SqlClient } from "effect/sql"
import * as Migrations from "../src/Migrations.ts"
import type { PgStopSignalOptions } from "../src/PgStopSignal.ts"
import * as SqlMessageStore from "../src/SqlMessageStore.ts"
import { freshRun, observe, open, operator, timed, untilLater } from "./PgStopSignal.fixture.ts"
import * as PgBouncer from "./support/PgBouncer.ts"
import * as Postgres from "./support/Postgres.ts"
import * as TcpProxy from "./support/TcpProxy.ts"
import { until } from "./support/until.ts"

/** As a process of its own: it polls once an hour, so that only a hint can be why it acts. */
const openProcess = Effect.fnUntraced(function* (
  url: Redacted.Redacted,
  options?: PgStopSignalOptions
) {
  const opened = yield* open(url, options)
  const repo = MessageRepo.layer().pipe(
    Layer.provide(SqlMessageStore.layer()),
    Layer.provideMerge(Migrations.layer),
    Layer.provide(Layer.succeed(SqlClient.SqlClient, opened.client)),
    Layer.provide(Layer.succeed(StopSignal, opened.signal)),
    Layer.provideMerge(Logger.layer([]))
  )
  const context = yield* Layer.build(Layer.fresh(repo))
  return { ...opened, context, repo: Context.get(context, MessageRepo) }
})

/** Work that runs for ever, and whose start is in the store. */
const startWork = Effect.fnUntraced(function* (context: Context.Context<MessageRepo>) {
  const { ref, runId } = freshRun()
  const built = yield* Layer.build(
    Layer.fresh(CancellationWatcher.layer({ ref, runId, pollInterval: "1 hour" }))
  ).pipe(Effect.provide(context))
  const { findRuns } = Context.get(context, MessageRepo)
  yield* until(findRuns(RunQuery.cases.Refs.make({ refs: [ref] })), (runs) => runs.length === 1)
  return { ref, watcher: Context.get(built, CancellationWatcher) }
})

describe("two processes", () => {
  it.live("stop each other's runs at once, by the hint of the store", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { listeners } = yield* operator(url)
      const one = yield* openProcess(url)
      const other = yield* openProcess(url)
      yield* until(listeners(), (pids) => pids.length === 2)
      const times: Array<number> = []
      for (let round = 0; round < 5; round++) {
        const { ref, watcher } = yield* startWork(one.context)
        const stop = Effect.andThen(other.repo.requestStop(ref), watcher.cancellation)
        times.push(yield* timed(stop))
      }
      assert.isBelow(Math.min(...times), 1000)
    })
  )

  it.live("lose no stop to a break: everything is looked at after it", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      const { listeners } = yield* operator(url)
      const one = yield* openProcess(url, { listenUrl: proxy.url })
      const other = yield* openProcess(url)
      yield* until(listeners(), (pids) => pids.length === 2)
      const { ref, watcher } = yield* startWork(one.context)
      yield* proxy.cut
      yield* until(
        Effect.sync(() => one.linesAt("Warn")),
        (lines) => lines.length === 1
      )
      yield* other.repo.requestStop(ref)
      assert.isFalse(yield* watcher.isCancelled)
      yield* proxy.mend
      assert.strictEqual((yield* watcher.cancellation).request.reason, "user")
    })
  )
})

describe("a pooler in transaction mode", () => {
  beforeEach(PgBouncer.skipWithout)

  it.live("in front of the store does no harm if listenUrl leads past it", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const pooler = yield* PgBouncer.make(url)
      const { lines, probes, signal } = yield* open(
        pooler.url,
        { listenUrl: url, probeInterval: "20 millis" },
        { prepare: false }
      )
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      yield* until(Effect.sync(probes), (count) => count >= 4)
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.deepStrictEqual(lines, [])
    })
  )

  it.effect("that swallows what is listened to is told once, with what to do", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const pooler = yield* PgBouncer.make(url)
      const { listener } = yield* operator(url)
      const { linesAt, probes, signal } = yield* open(pooler.url, {}, { prepare: false })
      yield* listener
      const observer = yield* observe(signal)
      yield* untilLater(Effect.sync(probes), (count) => count >= 4)
      yield* signal.publish(freshRun())
      assert.lengthOf(linesAt("Warn"), 1)
      assert.include(linesAt("Warn").join(), "set listenUrl")
      assert.deepStrictEqual(linesAt("Info"), [])
      assert.deepStrictEqual([observer.reconnected(), observer.runs()], [0, []])
    })
  )
})
