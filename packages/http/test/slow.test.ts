import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { listen, phasesIn, signsOfLifeIn } from "./support/events.ts"
import { openServer, type Server } from "./support/server.ts"
import { listenSlowly } from "./support/slowClient.ts"
import { runOf } from "./support/stops.ts"

const fast = { tick: "5 millis", idleTick: "5 millis" } as const
const all = { concurrency: "unbounded" } as const

const advance = ({ faults }: Server, ...runs: ReadonlyArray<ReturnType<typeof runOf>>) =>
  faults.store.advanceRuns(runs.map((run) => ({ run, to: "completed" })))

/** How long it takes until all of twenty clients know that their runs are over. */
const round = Effect.fnUntraced(function* (server: Server, nth: number) {
  const runs = Array.from({ length: 20 }, (_, index) => runOf({ messageId: `${nth}-${index}` }))
  yield* server.start(...runs)
  const clients = yield* Effect.forEach(runs, (run) => listen(server.port, run), all)
  const before = yield* Clock.currentTimeNanos
  yield* advance(server, ...runs)
  const told = yield* Effect.forEach(clients, ({ ended }) => ended, all)
  const after = yield* Clock.currentTimeNanos
  for (const { phases } of told) assert.deepStrictEqual(phases, ["none", "none"])
  return Number(after - before)
}, Effect.scoped)

const median = (values: ReadonlyArray<number>) =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN

describe("a client that hardly reads", () => {
  it.live("does not slow the others", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ ...fast, keepAlive: "1 millis" })
      const slow = runOf({ messageId: "slow" })
      yield* server.start(slow)
      yield* round(server, 0)
      const times = { alone: [] as Array<number>, besideSlow: [] as Array<number> }
      // In turns, so that whatever else this machine does is the same for both.
      for (let nth = 1; nth <= 9; nth++) {
        times.alone.push(yield* round(server, nth))
        const beside = Effect.gen(function* () {
          for (let index = 0; index < 20; index++) {
            const pace = index % 2 === 0 ? "stops reading" : { millisPerByte: 1 }
            yield* listenSlowly(server.server, slow, pace)
          }
          return yield* round(server, 100 + nth)
        })
        times.besideSlow.push(yield* Effect.scoped(beside))
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
      yield* advance(server, run)
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
