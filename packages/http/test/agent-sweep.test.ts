import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { ProcessId, runKey } from "effect-cancellation"
import { makeAgentSweep } from "../src/internal/agentSweep.ts"
import { openAgent, post, runIn, startServer } from "./support/agentFixture.ts"

const renew = Effect.void

describe("when an agent may have runs marked as lost", () => {
  const renewFor = (sweep: ReturnType<typeof makeAgentSweep>, seconds: number) =>
    Effect.gen(function* () {
      for (let passed = 0; passed < seconds; passed += 10) {
        yield* sweep.renewing(renew)
        yield* TestClock.adjust("10 seconds")
      }
      yield* sweep.renewing(renew)
    })

  it.effect("not before leases were renewed for the whole time", () =>
    Effect.gen(function* () {
      const sweep = makeAgentSweep(Duration.seconds(30))
      assert.isFalse(yield* sweep.isAllowed)
      yield* TestClock.adjust("1 hour")
      yield* renewFor(sweep, 20)
      assert.isFalse(yield* sweep.isAllowed)
      yield* TestClock.adjust("10 seconds")
      yield* sweep.renewing(renew)
      assert.isTrue(yield* sweep.isAllowed)
    })
  )

  it.effect("not for that time after a renewal failed, nor after a gap", () =>
    Effect.gen(function* () {
      const sweep = makeAgentSweep(Duration.seconds(30))
      yield* renewFor(sweep, 40)
      assert.isTrue(yield* sweep.isAllowed)
      yield* Effect.ignore(sweep.renewing(Effect.fail("down")))
      assert.isFalse(yield* sweep.isAllowed)
      yield* renewFor(sweep, 20)
      assert.isFalse(yield* sweep.isAllowed)
      yield* renewFor(sweep, 10)
      assert.isTrue(yield* sweep.isAllowed)
      yield* TestClock.adjust("30 seconds")
      assert.isFalse(yield* sweep.isAllowed)
      yield* sweep.renewing(renew)
      assert.isFalse(yield* sweep.isAllowed)
    })
  )

  it.effect("so that after an outage nobody buries the runs of others", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { store } = yield* openAgent(server.url)
      const [alive, dead] = [runIn("other"), runIn("acme")]
      const lease = (owner: string) => ({
        owner: ProcessId.make(owner),
        ttl: Duration.seconds(30)
      })
      yield* server.store.startRuns([alive], lease("alive"))
      yield* store.startRuns([dead], lease("dead"))
      // All of them were cut off.
      yield* TestClock.adjust("1 hour")
      yield* store.renewLease(lease("hasty"))
      assert.deepStrictEqual(yield* store.sweepLost, [])
      assert.deepStrictEqual((yield* server.store.stopRequests([alive, dead])).lost, [])
      for (let passed = 0; passed < 30; passed += 10) {
        yield* server.store.renewLease(lease("alive"))
        yield* store.renewLease(lease("hasty"))
        yield* TestClock.adjust("10 seconds")
      }
      yield* store.renewLease(lease("hasty"))
      assert.deepStrictEqual(
        (yield* store.sweepLost).map(({ run }) => runKey(run)),
        [runKey(dead)]
      )
      assert.deepStrictEqual((yield* server.store.stopRequests([alive])).lost, [])
    })
  )

  it.effect("not because an agent renewed no lease at all", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ sweepAfter: "30 seconds" })
      const dead = runIn("acme")
      yield* server.store.startRuns([dead], {
        owner: ProcessId.make("dead"),
        ttl: Duration.seconds(1)
      })
      for (let passed = 0; passed <= 60; passed += 10) {
        yield* post(server.url, "acme", "/agent/lease", { leases: [] })
        yield* TestClock.adjust("10 seconds")
      }
      const { body } = yield* post(server.url, "acme", "/agent/sweep", {})
      assert.deepStrictEqual(body.records, [])
      assert.deepStrictEqual((yield* server.store.stopRequests([dead])).lost, [])
    })
  )
})
