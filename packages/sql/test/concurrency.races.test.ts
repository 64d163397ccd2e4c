// Two programs that meet at one place, many times: nothing that was asked is lost.
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  MessageStore,
  type MessageStoreError,
  ProcessId,
  type Run,
  runKey,
  StopIntent,
  StopTarget,
  UserId
} from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { SqlMessageStore } from "../src/index.ts"
import { programs, runOf, type Store } from "./concurrency.fixture.ts"

const times = Array.from({ length: 500 }, (_, index) => index)
const timeout = 60_000

const aims: ReadonlyArray<readonly [string, (run: Run) => StopTarget]> = [
  ["run", (run) => StopTarget.cases.Run.make({ run })],
  ["message", ({ ref }) => StopTarget.cases.Message.make({ ref })],
  ["chat", ({ ref: { chatId } }) => StopTarget.cases.Chat.make({ chatId })]
]

const intent = StopIntent.make({ reason: "user", requestedBy: UserId.make("ada") })

/** Two at once, the first of which is the first to be called. */
const atOnce = <A, B>(
  one: Effect.Effect<A, MessageStoreError>,
  other: Effect.Effect<B, MessageStoreError>
) => Effect.all([one, other], { concurrency: 2 })

const swapped = <A, B>([one, other]: readonly [A, B]): [B, A] => [other, one]

const twoPrograms = Effect.fnUntraced(function* () {
  const { sql, stores } = yield* programs(2, 8)
  const [mine, yours] = stores
  if (mine === undefined || yours === undefined) return yield* Effect.die("there are two")
  return { sql, mine, yours }
})

const stopIn = Effect.fnUntraced(function* (store: Store, run: Run) {
  const { requests } = yield* store.stopRequests([run])
  return requests[0]?.request
})

describe("a stop and the start of what it is aimed at", () => {
  for (const [aim, target] of aims) {
    for (const stopsFirst of [true, false]) {
      const order = stopsFirst ? "a stop, then a start" : "a start, then a stop"
      it.live(
        `by ${aim}: ${order}, ${times.length} times`,
        () =>
          Effect.gen(function* () {
            const { mine, sql, yours } = yield* twoPrograms()
            yield* Effect.forEach(
              times,
              Effect.fnUntraced(function* (index) {
                const run = runOf(`chat-${index}`, "message", "run")
                const stop = mine.requestStop(target(run), intent)
                const start = yours.startRuns([run])
                const [[receipt], [record]] = stopsFirst
                  ? yield* atOnce(stop, start)
                  : yield* Effect.map(atOnce(start, stop), swapped)
                const now = yield* stopIn(mine, run)
                const told = JSON.stringify({ receipt, record, now })
                assert.strictEqual(now?.requestedBy, "ada", told)
                if (receipt?._tag === "Pending") {
                  // it came first, so the run begins with it
                  assert.deepStrictEqual({ ...record?.request }, { ...receipt.request }, told)
                } else {
                  if (receipt?._tag !== "Requested") return assert.fail(told)
                  assert.deepStrictEqual({ ...now }, { ...receipt.request }, told)
                }
              }),
              { concurrency: 8, discard: true }
            )
            assert.deepStrictEqual(yield* sql`SELECT * FROM agent_tombstones`, [])
          }),
        { timeout }
      )
    }
  }
})

describe("a sweep and a program that takes the run over", () => {
  it.live(
    `lose it or leave it, ${times.length} times`,
    () =>
      Effect.gen(function* () {
        const { mine, yours } = yield* twoPrograms()
        const dead = { owner: ProcessId.make("dead"), ttl: Duration.millis(1) }
        for (const index of times) {
          const run = runOf(`chat-${index}`, "message", "run")
          // one that nobody has heard of before
          const alive = { owner: ProcessId.make(`alive-${index}`), ttl: Duration.hours(1) }
          yield* mine.startRuns([run], dead)
          const [[record], lost] = yield* atOnce(yours.startRuns([run], alive), mine.sweepLost)
          const isLost = lost.some((other) => runKey(other.run) === runKey(run))
          assert.strictEqual(record?.outcome, isLost ? "lost" : undefined)
          assert.strictEqual(record?.owner, isLost ? dead.owner : alive.owner)
        }
      }),
    { timeout }
  )
})

describe("two runs of one message that start at once", () => {
  it.live(
    `leave one of them current, ${times.length} times`,
    () =>
      Effect.gen(function* () {
        const { mine, sql, yours } = yield* twoPrograms()
        yield* Effect.forEach(
          times,
          Effect.fnUntraced(function* (index) {
            const [one, other] = [1, 2].map((n) => runOf(`chat-${index}`, "message", `run-${n}`))
            if (one === undefined || other === undefined) return
            const records = yield* atOnce(mine.startRuns([one]), yours.startRuns([other]))
            assert.deepStrictEqual(
              records.flat().map(({ current }) => current),
              [true, true],
              "each was current when it started"
            )
          }),
          { concurrency: 8, discard: true }
        )
        assert.deepStrictEqual(
          yield* sql`SELECT chat_id FROM agent_runs GROUP BY chat_id
            HAVING count(*) <> 2 OR count(*) FILTER (WHERE current) <> 1
              OR max(sequence) <> max(sequence) FILTER (WHERE current)`,
          []
        )
      }),
    { timeout }
  )
})

describe("in a transaction of the application's own", () => {
  it.live("everything the store does is a part of it", () =>
    Effect.gen(function* () {
      const { sql, stores } = yield* programs(1)
      const context = yield* Layer.build(
        Layer.provide(SqlMessageStore.layer(), Layer.succeed(SqlClient.SqlClient, sql))
      )
      const mine = Context.get(context, MessageStore)
      const inTransaction = Effect.fnUntraced(function* (chat: string) {
        const run = runOf(chat, "message", "run")
        yield* mine.requestStop(StopTarget.cases.Chat.make({ chatId: run.ref.chatId }), intent)
        const [record] = yield* mine.startRuns([run])
        assert.strictEqual(record?.request?.requestedBy, "ada")
        yield* mine.advanceRuns([{ run, to: "stopped" }])
        for (const other of stores) {
          assert.lengthOf((yield* other.stopRequests([run])).gone, 1)
        }
      })
      yield* sql.withTransaction(inTransaction("kept"))
      const undone = Effect.andThen(inTransaction("undone"), Effect.fail("undone"))
      assert.strictEqual(yield* Effect.flip(sql.withTransaction(undone)), "undone")
      assert.deepStrictEqual(yield* sql`SELECT chat_id, outcome FROM agent_runs`, [
        { chat_id: "kept", outcome: "stopped" }
      ])
    })
  )
})
