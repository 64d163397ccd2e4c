// One of several programs on a file of SQLite: it starts runs, stops every other run of its neighbour,
// waits for the stops of its own, and ends them.
import { monitorEventLoopDelay } from "node:perf_hooks"
import { StatementSync } from "node:sqlite"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import {
  MessageStore,
  ProcessId,
  runKey,
  StopIntent,
  StopTarget,
  UserId
} from "effect-cancellation"
import * as SqliteClient from "../src/SqliteClient.ts"
import * as SqlMessageStore from "../src/SqlMessageStore.ts"
import { runOf } from "./concurrency.fixture.ts"
import { answer, letLoose } from "./storm.children.ts"

const [filename = "", name = "", neighbour = "", many = ""] = process.argv.slice(2)
const count = Number(many)

// How long this process stands still in the driver, and how often that is for nothing.
const calls: Array<number> = []
let busy = 0
const original: unknown = Reflect.get(StatementSync.prototype, "all")
if (typeof original !== "function") throw new Error("node:sqlite has changed")
Object.defineProperty(StatementSync.prototype, "all", {
  value(this: StatementSync, ...params: ReadonlyArray<unknown>) {
    const began = performance.now()
    try {
      return Reflect.apply(original, this, params)
    } catch (error) {
      if (error instanceof Error && error.message.includes("locked")) busy++
      throw error
    } finally {
      calls.push(performance.now() - began)
    }
  }
})

const runAt = (process: string, index: number) => runOf(process, `message-${index}`, `run-${index}`)
const indexes = Array.from({ length: count }, (_, index) => index)
const isStopped = (index: number) => index % 2 === 0

const targetOf = (index: number) => {
  const run = runAt(neighbour, index)
  return index % 4 === 0
    ? StopTarget.cases.Run.make({ run })
    : StopTarget.cases.Message.make({ ref: run.ref })
}

// As a program does that also talks to a network: what is ready runs before anything else is asked.
const breathe = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

const main = Effect.gen(function* () {
  const store = Context.get(yield* Layer.build(SqlMessageStore.layer()), MessageStore)
  const lease = { owner: ProcessId.make(name), ttl: Duration.hours(1) }
  const intent = StopIntent.make({ reason: "user", requestedBy: UserId.make(name) })
  yield* letLoose
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()

  const live = Effect.fnUntraced(function* (index: number) {
    const run = runAt(name, index)
    yield* Effect.andThen(breathe, store.startRuns([run], lease))
    if (isStopped(index)) {
      yield* Effect.repeat(store.stopRequests([run]), {
        schedule: Schedule.spaced("20 millis"),
        until: ({ requests }) => requests.some((found) => runKey(found.run) === runKey(run))
      })
    }
    yield* breathe
    yield* store.advanceRuns([{ run, to: isStopped(index) ? "stopped" : "completed" }])
  })
  const stop = (index: number) =>
    isStopped(index)
      ? Effect.andThen(breathe, store.requestStop(targetOf(index), intent))
      : Effect.void

  yield* Effect.all(
    [
      Effect.forEach(indexes, live, { concurrency: 20, discard: true }),
      Effect.forEach(indexes, stop, { concurrency: 2, discard: true })
    ],
    { concurrency: 2 }
  )
  delay.disable()
  const sorted = calls.toSorted((one, other) => one - other)
  yield* answer({
    busy,
    calls: calls.length,
    p99: sorted[Math.floor(sorted.length * 0.99)],
    max: sorted.at(-1),
    loop: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 }
  })
})

await Effect.runPromise(main.pipe(Effect.scoped, Effect.provide(SqliteClient.layer({ filename }))))
