import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Fault } from "effect-cancellation-testing"
import { connect } from "./support/connection.ts"
import { askingFor, isWhole, listen, phasesIn, signsOfLifeIn, stopOf } from "./support/events.ts"
import { rawAnswer } from "./support/rawAnswer.ts"
import { openServer } from "./support/server.ts"
import { runOf } from "./support/stops.ts"

describe("a stream of events", () => {
  it.live("says that it is alive while there is nothing to tell, and goes on to tell", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ keepAlive: "5 millis", idleTick: "5 millis" })
      const run = runOf()
      yield* server.start(run)
      const client = yield* listen(server.port, run)
      yield* client.until((came) => signsOfLifeIn(came) >= 5)
      assert.deepStrictEqual(phasesIn(client.text()), ["none"])
      yield* server.faults.store.advanceRuns([{ run, to: "completed" }])
      assert.deepStrictEqual(yield* client.ended, { phases: ["none", "none"], isWhole: true })
      yield* server.nothingLeft
    }).pipe(Effect.scoped)
  )

  it.live("ends well after its time, and a client that comes again is told how it stands", () =>
    Effect.gen(function* () {
      const server = yield* openServer({ maxEvents: "300 millis", idleTick: "5 millis" })
      const run = runOf()
      yield* server.start(run)
      const first = yield* listen(server.port, run)
      assert.deepStrictEqual(yield* first.ended, { phases: ["none"], isWhole: true })
      yield* server.faults.store.advanceRuns([{ run, to: "completed" }])
      const again = yield* listen(server.port, run)
      assert.deepStrictEqual(yield* again.ended, { phases: ["none"], isWhole: true })
      assert.include(again.text(), '"outcome":"completed"')
      yield* server.nothingLeft
    }).pipe(Effect.scoped)
  )

  it.live(
    "tells soon of a stop that was asked here while the store was still answering a look",
    () =>
      Effect.gen(function* () {
        const server = yield* openServer({ idleTick: "1 hour" })
        const run = runOf()
        yield* server.start(run)
        const { set, begun, ended } = server.faults
        // First it is read how the run stands; the look after that answers what was true when it was asked.
        yield* set({ findRuns: Fault.flapping(Fault.healthy, Fault.late("600 millis")) })
        const client = yield* listen(server.port, run)
        yield* begun("findRuns", 2)
        yield* set({ findRuns: Fault.healthy })
        const other = yield* connect(server.port)
        yield* other.write(stopOf(run))
        assert.strictEqual(rawAnswer(yield* other.closed).status, 202)
        yield* ended("findRuns", 3)
        yield* client.told("requested")
      }).pipe(Effect.scoped)
  )

  it.live("is 204 for who has had the last event, and for nobody else", () =>
    Effect.gen(function* () {
      const server = yield* openServer()
      const run = runOf()
      const other = runOf({ messageId: "goes on" })
      yield* server.start(run, other)
      const ask = Effect.fnUntraced(function* (of: typeof run, id: string) {
        const client = yield* connect(server.port)
        yield* client.write(askingFor(of, { "last-event-id": id }))
        if (of === other) return yield* client.until((came) => phasesIn(came).length > 0)
        return yield* client.closed
      })
      yield* server.faults.store.advanceRuns([{ run, to: "completed" }])
      const whole = yield* ask(run, "none another-run")
      const [, id = ""] = /^id: (.*)$/m.exec(whole) ?? []
      assert.isTrue(isWhole(whole))
      assert.deepStrictEqual(phasesIn(whole), ["none"])
      const { status, text } = rawAnswer(yield* ask(run, id))
      assert.deepStrictEqual([status, text], [204, ""])
      // The same receipt of a run that goes on is not the last one.
      const begun = yield* ask(other, id)
      assert.include(begun, "HTTP/1.1 200 ")
      assert.deepStrictEqual(phasesIn(begun), ["none"])
    }).pipe(Effect.scoped)
  )
})
