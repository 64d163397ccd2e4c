// Many programs at once: all that they are told agrees with one order of what they did.
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  ChatId,
  ForgetQuery,
  MessageId,
  MessageRef,
  type MessageStoreError,
  ProcessId,
  type Run,
  type RunOutcome,
  RunQuery,
  StopIntent,
  StopTarget,
  UserId
} from "effect-cancellation"
import { newSeed, programs, randomOf, runOf, type Store } from "./concurrency.fixture.ts"
import * as Model from "./concurrency.model.ts"

const seed = newSeed()
const rounds = 100
const clients = 8
const operations = 4

interface Doing {
  readonly what: string
  readonly run: Effect.Effect<
    readonly [answer: unknown, step: Model.Event["step"]],
    MessageStoreError
  >
}

const isAlive = (owner: ProcessId) => owner.startsWith("alive")

/** Something that a program may do in a chat of two messages, as the dice fall. */
const anything = (store: Store, chat: string, random: ReturnType<typeof randomOf>): Doing => {
  const message = () => random.among(["m1", "m2"])
  const attempt = (): Run => {
    const id = message()
    return runOf(chat, id, `${id}-${random.among(["r1", "r2", "r3"])}`)
  }
  const attempts = (): readonly [Run, ...ReadonlyArray<Run>] =>
    random.next() < 0.7 ? [attempt()] : [attempt(), attempt(), attempt()]
  const refs = ["m1", "m2"].map((id) =>
    MessageRef.make({ chatId: ChatId.make(chat), messageId: MessageId.make(id) })
  )
  const names = (runs: ReadonlyArray<Run>) => runs.map(({ runId }) => runId).join()
  const dice = random.next()
  if (dice < 0.3) {
    const runs = attempts()
    const alive = random.next() < 0.6
    const owner = ProcessId.make(`${alive ? "alive" : "dying"}-${chat}-${random.below(3)}`)
    const ttl = alive ? Duration.hours(1) : Duration.millis(1)
    return {
      what: `start ${names(runs)} of ${owner}`,
      run: Effect.map(store.startRuns(runs, { owner, ttl }), (records) => [
        records,
        Model.started(runs, owner, records)
      ])
    }
  }
  if (dice < 0.6) {
    const actor = `actor-${random.below(2 ** 32)}`
    const target = random.among<StopTarget>([
      StopTarget.cases.Chat.make({ chatId: ChatId.make(chat) }),
      StopTarget.cases.Message.make({ ref: attempt().ref }),
      StopTarget.cases.Run.make({ run: attempt() })
    ])
    const intent = StopIntent.make({ reason: "user", requestedBy: UserId.make(actor) })
    return {
      what: `${actor} stops ${JSON.stringify(target)}`,
      run: Effect.map(store.requestStop(target, intent), (receipts) => [
        receipts,
        Model.stopped(target, actor, receipts)
      ])
    }
  }
  if (dice < 0.8) {
    const to = random.next() < 0.4 ? ("observed" as const) : random.among(outcomes)
    const changes = attempts().map((run) => ({ run, to }))
    return {
      what: `${to}: ${names(changes.map(({ run }) => run))}`,
      run: Effect.map(store.advanceRuns(changes), (records) => [
        records,
        Model.advanced(changes, records)
      ])
    }
  }
  if (dice < 0.88) {
    return {
      what: "sweep",
      run: Effect.map(store.sweepLost, (records) => {
        const here = records.filter(({ run }) => run.ref.chatId === chat)
        return [here, Model.swept(isAlive, here)]
      })
    }
  }
  if (dice < 0.92) {
    const query = ForgetQuery.cases.Chat.make({ chatId: ChatId.make(chat) })
    return {
      what: "forget",
      run: Effect.map(store.forget(query), (count) => [count, Model.forgotten(count)])
    }
  }
  if (dice < 0.96) {
    const runs = [runOf(chat, "m1", "m1-r1"), runOf(chat, "m2", "m2-r2")]
    return {
      what: `look at ${names(runs)}`,
      run: Effect.map(store.stopRequests(runs), (look) => [look, Model.looked(runs, look)])
    }
  }
  return {
    what: "find",
    run: Effect.map(store.findRuns(RunQuery.cases.Refs.make({ refs })), (records) => [
      records,
      Model.foundAll(records)
    ])
  }
}

const outcomes: readonly [RunOutcome, ...ReadonlyArray<RunOutcome>] = [
  "completed",
  "stopped",
  "failed",
  "interrupted",
  "abandoned"
]

describe("eight programs in one chat", () => {
  it.live(
    `are told what agrees with one order, ${rounds} times (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const { sql, stores } = yield* programs(clients)
        const random = randomOf(seed)
        for (let round = 0; round < rounds; round++) {
          const chat = `chat-${round}`
          let clock = 0
          const events: Array<Model.Event> = []
          yield* Effect.forEach(
            stores,
            (store) =>
              Effect.forEach(
                Array.from({ length: operations }, () => anything(store, chat, random)),
                ({ run, what }) =>
                  Effect.suspend(() => {
                    const from = clock++
                    return Effect.map(run, ([answer, step]) => {
                      const told = `${what}: ${JSON.stringify(answer)}`
                      events.push({ what: told, from, to: clock++, step })
                    })
                  })
              ),
            { concurrency: "unbounded" }
          )
          const refused = Model.outOfOrder(events)
          if (refused !== undefined) assert.fail(`round ${round} of seed ${seed}:\n${refused}`)
        }
        assert.deepStrictEqual(
          yield* sql`SELECT message_key FROM agent_runs WHERE current
            GROUP BY message_key HAVING count(*) > 1`,
          []
        )
        assert.deepStrictEqual(
          yield* sql`SELECT message_key FROM agent_runs
            GROUP BY message_key HAVING count(*) FILTER (WHERE current) <> 1`,
          []
        )
        const [counts] = yield* sql`SELECT deadlocks FROM pg_stat_database
          WHERE datname = current_database()`
        assert.deepStrictEqual(counts, { deadlocks: 0n })
      }),
    { timeout: 120_000 }
  )
})
