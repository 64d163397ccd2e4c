import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { StopIntent, StopTarget } from "effect-cancellation"
import { type Listener, listen } from "./support/events.ts"
import { openServer, type Server } from "./support/server.ts"
import { runOf } from "./support/stops.ts"

const all = { concurrency: "unbounded", discard: true } as const

// More than a chunk of 1,000.
const count = 1050
const runs = Array.from({ length: count }, (_, index) => runOf({ messageId: `message-${index}` }))

const stopAll = ({ faults }: Server) =>
  Effect.forEach(runs, (run) =>
    faults.store.requestStop(
      StopTarget.cases.Run.make({ run }),
      StopIntent.make({ reason: "user" })
    )
  )

const advanceAll = ({ faults }: Server, to: "observed" | "stopped") =>
  faults.store.advanceRuns(runs.map((run) => ({ run, to })))

/** Half of them leave, in every way there is. */
const leave = ({ socket }: Listener, index: number): "stays" | "leaves" | "reads nothing" => {
  switch (index % 6) {
    case 1:
      socket.resetAndDestroy()
      return "leaves"
    case 3:
      socket.end()
      return "leaves"
    case 5:
      socket.pause()
      return "reads nothing"
    default:
      return "stays"
  }
}

/** How many messages each of the next queries is about. */
const nextRows = Effect.fnUntraced(function* ({ faults }: Server, queries: number) {
  const { findRuns } = yield* faults.counts
  yield* faults.begun("findRuns", findRuns.calls + queries)
  return (yield* faults.counts).findRuns.rows.slice(findRuns.calls, findRuns.calls + queries)
})

const listenersOf = ({ server }: Server) =>
  server.eventNames().map((name) => [String(name), server.listenerCount(name)])

describe("the events of a stop", () => {
  it.live(
    "are one query a tick for 1,050 clients, and nothing is left when half of them have vanished",
    () =>
      Effect.gen(function* () {
        const server = yield* openServer({ tick: "10 millis", idleTick: "20 millis" })
        const before = listenersOf(server)
        yield* server.start(...runs)
        const clients = yield* Effect.forEach(runs, (run) => listen(server.port, run), {
          concurrency: 50
        })

        // In chunks of 1,000, one after the other, however many listen.
        const rows = yield* nextRows(server, 7)
        const first = rows.indexOf(1000)
        assert.deepStrictEqual(rows.slice(first, first + 6), [1000, 50, 1000, 50, 1000, 50])

        yield* stopAll(server)
        yield* Effect.forEach(clients, (client) => client.told("requested"), all)
        const ways = clients.map(leave)
        const stayed = clients.filter((_, index) => ways[index] === "stays")
        const left = ways.filter((way) => way === "leaves").length
        yield* server.connections.atMost(count - left)
        assert.deepStrictEqual((yield* nextRows(server, 4)).slice(2), [count - left, count - left])

        yield* advanceAll(server, "observed")
        yield* Effect.forEach(stayed, (client) => client.told("observed"), all)
        yield* advanceAll(server, "stopped")
        for (const client of stayed) {
          assert.deepStrictEqual(yield* client.ended, {
            phases: ["none", "requested", "observed", "ended"],
            isWhole: true
          })
        }

        yield* server.nothingLeft
        const { findRuns } = yield* server.faults.counts
        assert.strictEqual(findRuns.inFlight, 0)
        assert.deepStrictEqual(listenersOf(server), before)
        // Nobody is left who could ask the store: only this one does.
        const late = yield* listen(server.port, runOf({ messageId: "message-0" }))
        assert.deepStrictEqual((yield* late.ended).phases, ["ended"])
        assert.strictEqual((yield* server.faults.counts).findRuns.calls, findRuns.calls + 1)
      }).pipe(Effect.scoped),
    { timeout: 60_000 }
  )
})
