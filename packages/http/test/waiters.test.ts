import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Run } from "effect-cancellation"
import { Fault } from "effect-cancellation-testing"
import { type Connection, connect } from "./support/connection.ts"
import { stopOf } from "./support/events.ts"
import { rawAnswer } from "./support/rawAnswer.ts"
import { openServer, type Server } from "./support/server.ts"
import { runOf } from "./support/stops.ts"

const all = { concurrency: "unbounded" } as const
const generous = { rateLimit: { limit: 10_000, window: "1 hour" } } as const

const send = Effect.fnUntraced(function* (port: number, run: Run, body = "{}") {
  const client = yield* connect(port)
  yield* client.write(stopOf(run, body))
  return client
})

const whoStopped = ({ faults }: Server, run: Run) =>
  Effect.map(faults.store.stopRequests([run]), ({ requests }) => requests[0]?.request.requestedBy)

const ways: ReadonlyArray<readonly [how: string, leave: (client: Connection) => void]> = [
  ["closes its connection", ({ socket }) => void socket.end()],
  ["destroys its connection", ({ socket }) => void socket.destroy()],
  ["resets its connection", ({ socket }) => void socket.resetAndDestroy()]
]

describe("clients that wait until a run has ended", () => {
  it.live("are 500 with one query a tick, and all are answered when it comes", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ ...generous, tick: "20 millis" })
      const runs = Array.from({ length: 500 }, (_, index) => runOf({ messageId: `${index}` }))
      yield* server.start(...runs)
      const clients = yield* Effect.forEach(
        runs,
        (run) => send(server.port, run, '{"wait":"ended"}'),
        { concurrency: 50 }
      )
      yield* server.faults.ended("requestStop", 500)
      // The query that is under way may have begun before the last one came.
      const { findRuns } = yield* server.faults.counts
      yield* server.faults.ended("findRuns", findRuns.calls + 5)
      const { rows } = (yield* server.faults.counts).findRuns
      assert.deepStrictEqual(
        rows.slice(findRuns.calls + 1, findRuns.calls + 5),
        [500, 500, 500, 500]
      )
      yield* server.faults.store.advanceRuns(runs.map((run) => ({ run, to: "stopped" })))
      const answers = yield* Effect.forEach(clients, ({ closed }) => closed, all)
      for (const came of answers) {
        const { status, text } = rawAnswer(came)
        assert.strictEqual(status, 200)
        assert.include(text, '{"phase":"ended"')
      }
      yield* server.nothingLeft
    }).pipe(Effect.scoped)
  )

  for (const [how, leave] of ways) {
    it.live(`leave nothing but the stop: one that ${how}`, () =>
      Effect.gen(function* () {
        const server = yield* openServer()
        const run = runOf()
        yield* server.start(run)
        const client = yield* send(server.port, run, '{"wait":"ended"}')
        yield* server.faults.ended("requestStop", 1)
        // It waits by now.
        yield* server.faults.begun("findRuns", 3)
        leave(client)
        yield* server.nothingLeft
        assert.strictEqual(yield* whoStopped(server, run), "ada")
      }).pipe(Effect.scoped)
    )
  }
})

describe("a stop is stored", () => {
  for (const operation of ["findRuns", "requestStop"] as const) {
    for (const [how, leave] of ways) {
      it.live(`although its client ${how} before the store has answered ${operation}`, () =>
        Effect.gen(function* () {
          const server = yield* openServer()
          const run = runOf()
          yield* server.start(run)
          yield* server.faults.set({ [operation]: Fault.hang })
          const client = yield* send(server.port, run)
          yield* server.faults.begun(operation, 1)
          leave(client)
          yield* server.closed.atLeast(1)
          yield* server.faults.heal
          yield* server.nothingLeft
          assert.strictEqual(yield* whoStopped(server, run), "ada")
        }).pipe(Effect.scoped)
      )
    }
  }

  it.live("although its client closes its connection as soon as it has sent it", () =>
    Effect.gen(function* () {
      const server = yield* openServer(generous)
      const runs = Array.from({ length: 100 }, (_, index) => runOf({ messageId: `${index}` }))
      yield* server.start(...runs)
      for (const run of runs) {
        const client = yield* connect(server.port)
        client.socket.end(stopOf(run, "{}"))
        yield* client.closed
      }
      yield* server.nothingLeft
      const stored = yield* Effect.forEach(runs, (run) => whoStopped(server, run))
      assert.deepStrictEqual(
        stored.filter((who) => who !== "ada"),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.live("only if it was sent to its end", () =>
    Effect.gen(function* () {
      const server = yield* openServer()
      const run = runOf()
      yield* server.start(run)
      for (const [, leave] of ways) {
        const client = yield* connect(server.port)
        const asked = yield* server.requests.now
        yield* client.write(stopOf(run, "{}", 3))
        yield* server.requests.atLeast(asked + 1)
        leave(client)
        yield* server.nothingLeft
      }
      assert.isUndefined(yield* whoStopped(server, run))
      assert.strictEqual((yield* server.faults.counts).requestStop.calls, 0)
    }).pipe(Effect.scoped)
  )
})
