// The driver of SQLite is synchronous: what is ready at once must not run in one go.
import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import {
  MessageContent,
  MessageRef,
  MessageStore,
  NewMessage,
  ProcessId,
  Run,
  RunId,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import { newFile } from "./SqliteFile.ts"

const stores = Layer.mergeAll(SqlMessageStore.layer(), SqlMessageContent.layer).pipe(
  Layer.provide(newFile)
)
const lease = { owner: ProcessId.make("process"), ttl: Duration.seconds(30) }
const many = 50
const refs = Array.from({ length: many }, (_, index) =>
  MessageRef.of({ chatId: "chat", messageId: `m${index}` })
)
const runs = refs.map((ref) => Run.make({ ref, runId: RunId.make("run") }))

/** In how many turns of the event loop something was done. */
const turnsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let turns = 0
    let over = false
    const count = () => {
      if (over) return
      turns++
      setImmediate(count)
    }
    setImmediate(count)
    return Effect.as(
      effect,
      Effect.sync(() => {
        over = true
        return turns
      })
    ).pipe(Effect.flatten)
  })

const atOnce = { concurrency: "unbounded", discard: true } as const

it.live(
  "changes that are ready at once leave a turn of the event loop to others between them",
  () =>
    Effect.gen(function* () {
      const { advanceRuns, requestStop, startRuns } = yield* MessageStore
      const { create } = yield* MessageContent
      const intent = StopIntent.make({ reason: "user" })
      const changes = {
        start: turnsOf(Effect.forEach(runs, (run) => startRuns([run], lease), atOnce)),
        stop: turnsOf(
          Effect.forEach(
            runs,
            (run) => requestStop(StopTarget.cases.Run.make({ run }), intent),
            atOnce
          )
        ),
        end: turnsOf(
          Effect.forEach(runs, (run) => advanceRuns([{ run, to: "stopped" as const }]), atOnce)
        ),
        text: turnsOf(
          Effect.forEach(refs, (ref) => create(NewMessage.make({ ref, role: "assistant" })), atOnce)
        )
      }
      for (const [change, turns] of Object.entries(changes)) {
        assert.isAtLeast(yield* turns, many - 1, change)
      }
    }).pipe(Effect.provide(stores))
)

it.live("a change that is interrupted while it waits for its turn is not made", () =>
  Effect.gen(function* () {
    const { findRuns, startRuns } = yield* MessageStore
    const started = yield* Effect.forEach(runs, (run) =>
      Effect.forkChild(startRuns([run], lease), { startImmediately: true })
    )
    yield* Effect.forEach(started.slice(1), Fiber.interrupt, atOnce)
    yield* Effect.forEach(started, Fiber.await, atOnce)
    assert.lengthOf(yield* findRuns({ _tag: "Refs", refs }), 1)
    // nobody has taken the turn away with him
    yield* Effect.forEach(runs, (run) => startRuns([run], lease), atOnce)
    assert.lengthOf(yield* findRuns({ _tag: "Refs", refs }), many)
  }).pipe(Effect.provide(stores))
)
