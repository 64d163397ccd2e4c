import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type Run, StopIntent, StopTarget } from "effect-cancellation"
import { listen, phasesIn, signsOfLifeIn } from "./support/events.ts"
import { openServer, type Server } from "./support/server.ts"
import { listenSlowly } from "./support/slowClient.ts"
import { runOf } from "./support/stops.ts"

const fast = { tick: "5 millis", idleTick: "5 millis" } as const
const all = { concurrency: "unbounded" } as const

const advance = (
  { faults }: Server,
  to: "observed" | "stopped" | "completed",
  ...runs: ReadonlyArray<Run>
) => faults.store.advanceRuns(runs.map((run) => ({ run, to })))

const stop = ({ faults }: Server, run: Run) =>
  faults.store.requestStop(StopTarget.cases.Run.make({ run }), StopIntent.make({ reason: "user" }))

/** How long it takes until twenty clients were told of each phase of their runs, which slow ones follow too. */
const round = Effect.fnUntraced(function* (server: Server, nth: number, slow: boolean) {
  const runs = Array.from({ length: 20 }, (_, index) =>
    runOf({ messageId: `${nth}-${index}-${slow}` })
  )
  yield* server.start(...runs)
  if (slow) {
    yield* Effect.forEach(runs, (run, index) =>
      listenSlowly(server.server, run, index % 2 === 0 ? "stops reading" : { millisPerByte: 1 })
    )
  }
  const clients = yield* Effect.forEach(runs, (run) => listen(server.port, run), all)
  const before = yield* Clock.currentTimeNanos
  yield* Effect.forEach(runs, (run) => stop(server, run))
  yield* Effect.forEach(clients, (client) => client.told("requested"), all)
  yield* advance(server, "observed", ...runs)
  yield* Effect.forEach(clients, (client) => client.told("observed"), all)
  yield* advance(server, "stopped", ...runs)
  yield* Effect.forEach(clients, (client) => client.told("ended"), all)
  return Number((yield* Clock.currentTimeNanos) - before)
}, Effect.scoped)

const median = (values: ReadonlyArray<number>) =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN

describe("a client that hardly reads", () => {
  it.live("does not slow the others", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ ...fast, keepAlive: "1 millis" })
      yield* round(server, 0, true)
      const times = { alone: [] as Array<number>, besideSlow: [] as Array<number> }
      // In turns, so that whatever else this machine does is the same for both.
      for (let nth = 1; nth <= 9; nth++) {
        times.alone.push(yield* round(server, nth, false))
        times.besideSlow.push(yield* round(server, nth, true))
      }
      assert.isBelow(median(times.besideSlow) / median(times.alone), 3, JSON.stringify(times))
    }).pipe(Effect.scoped)
  )

  it.live("is kept nothing for but what it did not take: no line of signs of life", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ ...fast, keepAlive: "1 millis" })
      const run = runOf()
      yield* server.start(run)
      const slow = yield* listenSlowly(server.server, run, "stops reading")
      const other = yield* listen(server.port, run)
      yield* other.until((came) => signsOfLifeIn(came) >= 1000)
      assert.isBelow(yield* slow.held, 4096)
      slow.connection.wake()
      yield* advance(server, "completed", run)
      const came = yield* slow.connection.until((text) => phasesIn(text).length === 2)
      assert.isBelow(signsOfLifeIn(came), 500)
      assert.deepStrictEqual((yield* other.ended).phases, ["none", "none"])
    }).pipe(Effect.scoped)
  )

  it.live("is let go when its time is over, and asks the store no more", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ ...fast, keepAlive: "20 millis", maxEvents: "300 millis" })
      const run = runOf()
      yield* server.start(run)
      const fibers = yield* server.fibers.now
      yield* listenSlowly(server.server, run, "stops reading")
      const other = yield* listen(server.port, run)
      assert.isTrue((yield* other.ended).isWhole)
      // Of a page that takes what it is sent the stream ends well; this one's connection is cut.
      yield* server.fibers.atMost(fibers)
      yield* server.connections.atMost(0)
    }).pipe(Effect.scoped)
  )
})
