import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  ChatId,
  MessageId,
  MessageRef,
  MessageStore,
  type MessageStoreError,
  Run,
  RunId,
  RunQuery,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { Fault, StoreFaults } from "../src/index.ts"

const runOf = (name: string) =>
  Run.make({
    ref: MessageRef.make({ chatId: ChatId.make("chat"), messageId: MessageId.make(name) }),
    runId: RunId.make(`${name}-1`)
  })
const a = runOf("a")
const b = runOf("b")
const intent = StopIntent.make({ reason: "user" })
const stopped = (run: Run) => StopTarget.cases.Run.make({ run })

const provided = Effect.provide(StoreFaults.layer(MessageStore.layerMemory()))

const reasonOf = (exit: Exit.Exit<unknown, MessageStoreError>) =>
  Exit.isFailure(exit)
    ? exit.cause.reasons.flatMap((reason) =>
        Cause.isFailReason(reason) ? [reason.error.reason._tag] : [reason._tag]
      )
    : ["Success"]

describe("StoreFaults", () => {
  it.effect("is the store below while it is healthy, synchronously", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const context = yield* Effect.context()
      const records = Effect.runSyncWith(context)(store.startRuns([a]))
      assert.deepStrictEqual(
        records.map(({ run }) => run),
        [a]
      )
      assert.strictEqual(store.supports, (yield* StoreFaults).store.supports)
    }).pipe(provided)
  )

  it.effect("counts calls and rows, in flight and at most", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* faults.set({ reads: Fault.hang })
      const first = yield* Effect.forkChild(store.stopRequests([a]))
      const second = yield* Effect.forkChild(store.stopRequests([a, b]))
      yield* faults.begun("stopRequests", 2)
      const during = (yield* faults.counts).stopRequests
      assert.deepStrictEqual(during, {
        calls: 2,
        ended: 0,
        interrupted: 0,
        inFlight: 2,
        maxInFlight: 2,
        rows: [1, 2]
      })
      yield* Fiber.interrupt(first)
      yield* faults.heal
      yield* Fiber.join(second)
      yield* faults.ended("stopRequests", 2)
      const after = (yield* faults.counts).stopRequests
      assert.deepStrictEqual(after, { ...during, ended: 2, interrupted: 1, inFlight: 0 })
      assert.strictEqual((yield* faults.counts).findRuns.calls, 0)
    }).pipe(provided)
  )

  it.effect("waits for a call that has not begun, and not for one that has", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      const waiting = yield* Effect.forkChild(faults.begun("sweepLost", 2), {
        startImmediately: true
      })
      yield* store.sweepLost
      assert.isUndefined(waiting.pollUnsafe())
      yield* store.sweepLost
      yield* Fiber.join(waiting)
      yield* faults.begun("sweepLost", 1)
      yield* faults.ended("sweepLost", 2)
    }).pipe(provided)
  )

  it.effect("gives an operation its own fault before its group's before all", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* faults.set({ advanceRuns: Fault.healthy, writes: Fault.die, all: Fault.fail })
      assert.deepStrictEqual(reasonOf(yield* Effect.exit(store.advanceRuns([]))), ["Success"])
      const write = yield* Effect.exit(store.requestStop(stopped(a), intent))
      assert.deepStrictEqual(reasonOf(write), ["Die"])
      const read = yield* Effect.exit(store.stopRequests([a]))
      assert.deepStrictEqual(reasonOf(read), ["StoreUnavailable"])
      const lease = yield* Effect.exit(store.sweepLost)
      assert.deepStrictEqual(reasonOf(lease), ["StoreUnavailable"])
      yield* faults.set({ reads: Fault.healthy })
      assert.deepStrictEqual(reasonOf(yield* Effect.exit(store.stopRequests([]))), ["Success"])
      assert.deepStrictEqual(reasonOf(yield* Effect.exit(store.startRuns([]))), [
        "StoreUnavailable"
      ])
    }).pipe(provided)
  )

  it.effect("slow looks after the wait, late before it", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* faults.store.startRuns([a])
      yield* faults.set({ reads: Fault.slow("3 seconds") })
      const slow = yield* Effect.forkChild(store.stopRequests([a]))
      yield* faults.begun("stopRequests", 1)
      yield* faults.set({ reads: Fault.late("5 seconds") })
      const late = yield* Effect.forkChild(store.stopRequests([a]))
      yield* faults.begun("stopRequests", 2)
      yield* TestClock.adjust("2 seconds")
      yield* faults.store.requestStop(stopped(a), intent)
      assert.isUndefined(slow.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.lengthOf((yield* Fiber.join(slow)).requests, 1)
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf((yield* Fiber.join(late)).requests, 0)
    }).pipe(provided)
  )

  it.effect("loses an answer after doing what was asked, and fails without doing it", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.flapping(Fault.fail, Fault.loseAnswer) })
      const failed = yield* Effect.exit(store.startRuns([a]))
      const lost = yield* Effect.exit(store.startRuns([b]))
      assert.deepStrictEqual(
        [reasonOf(failed), reasonOf(lost)],
        [["StoreUnavailable"], ["StoreUnavailable"]]
      )
      assert.deepStrictEqual((yield* faults.store.stopRequests([a, b])).gone, [a])
    }).pipe(provided)
  )

  it.effect("hangs whoever interrupts it until it is released, if told to", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.hangUninterruptibly })
      const hanging = yield* Effect.forkDetach(store.startRuns([a]), { startImmediately: true })
      hanging.interruptUnsafe()
      yield* Effect.yieldNow
      assert.strictEqual((yield* faults.counts).startRuns.inFlight, 1)
      yield* faults.release
      yield* faults.ended("startRuns", 1)
      assert.deepStrictEqual((yield* faults.store.stopRequests([a])).gone, [])
    }).pipe(provided)
  )

  it.effect("releases what hangs when the layer closes", () =>
    Effect.gen(function* () {
      const hanging = yield* Effect.gen(function* () {
        const store = yield* MessageStore
        yield* (yield* StoreFaults).set({ all: Fault.hangUninterruptibly })
        return yield* Effect.forkDetach(store.startRuns([a]), { startImmediately: true })
      }).pipe(provided)
      assert.lengthOf(yield* Fiber.join(hanging), 1)
    })
  )

  it.effect("answers the chosen runs as malformed and hides no other", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* store.startRuns([a, b])
      yield* store.requestStop(stopped(a), intent)
      yield* store.requestStop(stopped(b), intent)
      yield* faults.set({ all: Fault.malformed([a]) })
      const look = yield* store.stopRequests([a, b])
      assert.deepStrictEqual(
        look.requests.map(({ run }) => run),
        [b]
      )
      assert.deepStrictEqual(
        look.failures.map(({ error, run }) => [run, error.reason._tag]),
        [[a, "MalformedRow"]]
      )
      const changes = (run: Run) => [{ run, to: "observed" as const }]
      const spoilt = yield* Effect.exit(store.advanceRuns(changes(a)))
      assert.deepStrictEqual(reasonOf(spoilt), ["MalformedRow"])
      assert.lengthOf(yield* store.advanceRuns(changes(b)), 1)
      yield* faults.set({ all: Fault.malformed() })
      assert.lengthOf((yield* store.stopRequests([a, b])).failures, 2)
      assert.deepStrictEqual(reasonOf(yield* Effect.exit(store.sweepLost)), ["MalformedRow"])
    }).pipe(provided)
  )

  it.effect("leaves out the stops while it is stale", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* store.startRuns([a])
      yield* store.requestStop(stopped(a), intent)
      yield* faults.set({ reads: Fault.stale })
      const look = yield* store.stopRequests([a, b])
      assert.deepStrictEqual([look.requests, look.gone], [[], [b]])
      const query = RunQuery.cases.Refs.make({ refs: [a.ref] })
      assert.isUndefined((yield* store.findRuns(query))[0]?.request)
      assert.isDefined((yield* faults.store.findRuns(query))[0]?.request)
    }).pipe(provided)
  )

  it.effect("talks nonsense: everything twice, and of runs that nobody asked about", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      yield* faults.set({ all: Fault.nonsense })
      const started = yield* store.startRuns([a])
      assert.lengthOf(
        started.filter(({ run }) => run.runId === a.runId),
        3
      )
      yield* faults.store.requestStop(stopped(a), intent)
      const { requests } = yield* store.stopRequests([a])
      const named = requests.map(({ run }) => [run.ref.companyId, run.runId])
      assert.deepStrictEqual(named, [
        [undefined, "a-1"],
        [undefined, "a-1"],
        ["a-company-nobody-asked-about", "a-1"],
        [undefined, "a-run-nobody-asked-about"]
      ])
    }).pipe(provided)
  )

  it.effect("flaps from call to call, and every n-th call", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const faults = yield* StoreFaults
      const results = Effect.forEach([1, 2, 3, 4, 5, 6], () =>
        Effect.map(Effect.exit(store.stopRequests([])), Exit.isSuccess)
      )
      yield* faults.set({ reads: Fault.flapping(Fault.fail, Fault.die, Fault.healthy) })
      assert.deepStrictEqual(yield* results, [false, false, true, false, false, true])
      yield* faults.set({ reads: Fault.every(2, Fault.fail) })
      assert.deepStrictEqual(yield* results, [true, false, true, false, true, false])
      yield* faults.heal
      assert.deepStrictEqual(yield* results, [true, true, true, true, true, true])
    }).pipe(provided)
  )
})
