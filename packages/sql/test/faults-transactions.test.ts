// A connection that freezes in the middle of a transaction: who waits for it is let go, and the store
// works again, whichever statement it was and whether the server had heard it.
import { PgClient, PgConnection } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import {
  MessageRef,
  MessageStore,
  ProcessId,
  Run,
  RunId,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { vi } from "vitest"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import * as Wire from "./agents/Wire.ts"
import * as Postgres from "./support/Postgres.ts"
import { until } from "./support/until.ts"

vi.setConfig({ testTimeout: 60_000 })

interface Case {
  readonly operation: "startRuns" | "advanceRuns"
  readonly word: string
  readonly way: Wire.Direction
}

const cases = (["startRuns", "advanceRuns"] as const).flatMap((operation) =>
  ["BEGIN", "FOR UPDATE", "COMMIT"].flatMap((word) =>
    (["out", "in"] as const).map((way): Case => ({ operation, word, way }))
  )
)

const nameOf = ({ operation, way, word }: Case) =>
  `${operation} ${word.replace(" ", "-")} ${way}`.replaceAll(" ", ".")

const database = Effect.gen(function* () {
  const { url } = yield* Postgres.database
  yield* Effect.scoped(Layer.build(Layer.provide(Migrations.layer, PgClient.layer({ url }))))
  return url
})

/** A store on one connection, and another one that nothing happens to; of a chat of their own. */
const open = Effect.fnUntraced(function* (url: Redacted.Redacted, one: Case) {
  const name = nameOf(one)
  const wire = Wire.make(url)
  // Not prepared, so that the words of each statement are sent each time.
  const storeOn = (stream?: PgClient.PgClientConfig["stream"]) =>
    Effect.map(
      Layer.build(
        Layer.fresh(SqlMessageStore.layer()).pipe(
          Layer.provide(
            Layer.fresh(
              PgClient.layer({
                url,
                stream,
                maxConnections: 1,
                prepare: false,
                applicationName: name
              })
            )
          )
        )
      ),
      (context) => Context.get(context, MessageStore)
    )
  const store = yield* storeOn(wire.stream)
  const runOf = (id: string) =>
    Run.make({ ref: MessageRef.of({ chatId: name, messageId: id }), runId: RunId.make(id) })
  const lease = { owner: ProcessId.make(name), ttl: Duration.seconds(30) }
  yield* store.startRuns([runOf("before")], lease)
  const frozen = wire.freezeAt(one.word, one.way)
  const working = yield* Effect.forkChild(
    one.operation === "startRuns"
      ? store.startRuns([runOf("run")], lease)
      : store.advanceRuns([{ run: runOf("before"), to: "completed" }])
  )
  yield* frozen
  return { name, url, wire, store, other: yield* storeOn(), runOf, lease, working }
})

type Opened = Effect.Success<ReturnType<typeof open>>

const underWay = Effect.fnUntraced(function* ({ name, url }: Opened) {
  const connection = yield* PgConnection.make({ url })
  const { rows } = yield* connection.query(
    `SELECT state, query FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = $1 AND state <> 'idle'`,
    [name]
  )
  return rows
}, Effect.scoped)

/** What another process sees is what shows that nothing was left behind. */
const assertWorks = Effect.fnUntraced(function* (opened: Opened) {
  const { lease, name, other, runOf, store } = opened
  const left = yield* Effect.exit(
    until(underWay(opened), ({ length }) => length === 0, "5 seconds")
  )
  assert.isTrue(Exit.isSuccess(left), `${name}: a transaction stays open`)
  const run = runOf("after")
  yield* store.startRuns([run], lease)
  const target = StopTarget.cases.Run.make({ run })
  const [receipt] = yield* store.requestStop(target, StopIntent.make({ reason: "user" }))
  assert.strictEqual(receipt?._tag, "Requested", name)
  const { requests } = yield* other.stopRequests([run])
  assert.lengthOf(requests, 1, `${name}: the stop that was answered is not stored`)
  const [record] = yield* other.advanceRuns([{ run, to: "stopped" }])
  assert.strictEqual(record?.outcome, "stopped", name)
})

describe("a connection that freezes in a transaction", () => {
  for (const ending of ["thaw", "cut"] as const) {
    it.live(`lets go of who waits for it; after the ${ending} the store works`, () =>
      Effect.gen(function* () {
        const url = yield* database
        const freeze = Effect.fnUntraced(function* (one: Case) {
          const opened = yield* open(url, one)
          const [took] = yield* Effect.timed(Fiber.interrupt(opened.working))
          assert.isBelow(Duration.toMillis(took), 11_000, opened.name)
          opened.wire[ending]()
          yield* assertWorks(opened)
        })
        yield* Effect.forEach(cases, freeze, { concurrency: "unbounded", discard: true })
      })
    )
  }

  it.live("leaves no transaction open if it thaws as soon as nobody waits any more", () =>
    Effect.gen(function* () {
      const url = yield* database
      const freeze = Effect.fnUntraced(function* (one: Case) {
        const opened = yield* open(url, one)
        // For 10 ms the driver hopes for the answer, and keeps the connection if it comes.
        opened.working.interruptUnsafe()
        yield* Effect.yieldNow
        opened.wire.thaw()
        yield* Fiber.await(opened.working)
        yield* assertWorks(opened)
      })
      yield* Effect.forEach(cases, freeze, { discard: true })
    })
  )

  it.live("of a process that stands still, holds up the others for some seconds only", () =>
    Effect.gen(function* () {
      const url = yield* database
      const wait = Effect.fnUntraced(function* ({ lease, name, other, runOf }: Opened) {
        yield* other.startRuns([runOf("other")], { ...lease, owner: ProcessId.make("other") })
        const [before] = yield* other.advanceRuns([{ run: runOf("before"), to: "failed" }])
        assert.isDefined(before?.outcome, name)
        yield* other.renewLease(lease)
        yield* other.sweepLost
      })
      // From the moment in which it stands still: to open one may itself wait for another one's chat,
      // which shares its lock.
      const timed = Effect.fnUntraced(function* (one: Case) {
        const [took] = yield* Effect.timed(wait(yield* open(url, one)))
        return Duration.toMillis(took)
      })
      const took = yield* Effect.forEach(cases, timed, { concurrency: "unbounded" })
      assert.isBelow(Math.max(...took), 12_000)
    })
  )
})
