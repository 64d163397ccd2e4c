import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Fault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import { ChatId, MessageId, MessageStore, StopHint, StopTarget } from "../src/index.ts"
import {
  byUser,
  callsNow,
  callsSince,
  faultyMemory,
  openRepo,
  openRun,
  openRuns,
  refOf,
  runOf,
  runTarget
} from "./fixture-2.ts"

const provided = Effect.provide(faultyMemory)

const onLookup = Effect.provide(
  StoreFaults.layer(
    MessageStore.fromLookup((refs) =>
      Effect.succeed(refs.map((ref) => ({ ref, userAbortedAt: null })))
    )
  )
)

const looks = Effect.map(
  Effect.flatMap(StoreFaults, ({ counts }) => counts),
  ({ stopRequests }) => stopRequests
)

/** How many looks begin while the clock moves on. */
const looksIn = Effect.fnUntraced(function* (duration: Parameters<typeof TestClock.adjust>[0]) {
  const before = (yield* looks).calls
  yield* TestClock.adjust(duration)
  return (yield* looks).calls - before
})

const sum = (rows: ReadonlyArray<number>) => rows.reduce((total, one) => total + one, 0)

const startedRows = Effect.map(
  Effect.flatMap(StoreFaults, ({ counts }) => counts),
  ({ startRuns }) => (startRuns.inFlight > 0 ? 0 : sum(startRuns.rows))
)

const endedRows = Effect.map(
  Effect.flatMap(StoreFaults, ({ counts }) => counts),
  ({ advanceRuns }) => (advanceRuns.inFlight > 0 ? 0 : sum(advanceRuns.rows))
)

/** Moves the clock in small steps until so much is done, at most for ten seconds of it. */
const advanceUntil = Effect.fnUntraced(function* <R>(
  done: Effect.Effect<number, never, R>,
  wanted: number
) {
  for (let step = 0; step < 2000 && (yield* done) < wanted; step++) {
    yield* TestClock.adjust("5 millis")
  }
})

const chatTarget = StopTarget.cases.Chat.make({ chatId: ChatId.make("chat") })

describe("Law 14: Idle is free", () => {
  it.effect("a repo that watches nothing asks nothing of a complete store for an hour", () =>
    Effect.gen(function* () {
      yield* openRepo()
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(provided)
  )

  it.effect("a repo that watches nothing asks nothing of a lookup for an hour", () =>
    Effect.gen(function* () {
      yield* openRepo()
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(onLookup)
  )

  it.effect("a process with runs asks only at its ticks and for its lease", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRuns(repo, 3)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* callsSince({}), { startRuns: 1 })
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      // a tick every 2 s, a renewal every 10 s, and a sweep with each renewal after the first three
      assert.deepStrictEqual(yield* callsSince(before), {
        stopRequests: 1800,
        renewLease: 360,
        sweepLost: 357
      })
    }).pipe(provided)
  )

  it.effect("the lease costs the same for a hundred runs as for one", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRuns(repo, 100)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* callsNow)["renewLease"], 6)
    }).pipe(provided)
  )

  it.effect("a process with runs on a store without leases asks only at its ticks", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRuns(repo, 3)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* callsSince({}), { stopRequests: 1 })
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(before), { stopRequests: 1800 })
    }).pipe(onLookup)
  )

  it.effect("after the last run ended nothing more is asked", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const runs = yield* openRuns(repo, 3)
      yield* TestClock.adjust("1 minute")
      for (const run of runs) yield* run.close()
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(before), {})
    }).pipe(provided)
  )

  it.effect("after the last run ended nothing more is asked of a lookup", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const runs = yield* openRuns(repo, 3)
      yield* TestClock.adjust("1 minute")
      for (const run of runs) yield* run.close()
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(before), {})
    }).pipe(onLookup)
  )

  it.effect("a cancelled run that does not end yet costs only the lease", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      yield* TestClock.adjust("1 second")
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      const { renewLease, sweepLost, ...rest } = yield* callsSince(before)
      assert.deepStrictEqual([renewLease, sweepLost, rest], [360, 357, {}])
    }).pipe(provided)
  )

  it.effect("a hint for a run that is not watched costs nothing", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* close()
      const before = yield* callsNow
      yield* repo.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(before), { requestStop: 1 })
      assert.lengthOf((yield* store.stopRequests([run])).requests, 0)
    }).pipe(provided)
  )
})

describe("Law 14: Idle is free, with hints", () => {
  it.effect("a hint costs nothing while nothing is watched", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      yield* openRepo()
      yield* signal.begun("subscribe", 1)
      yield* signal.emit(StopHint.cases.Hint.make({ run: runOf(refOf("a"), "1") }))
      yield* signal.reconnected
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(Effect.provide(Layer.merge(faultyMemory, SignalFaults.layer())))
  )
})

describe("Law 15: One query a tick", () => {
  for (const [count, chunks] of [
    [1, [1]],
    [1000, [1000]],
    [2500, [1000, 1000, 500]]
  ] as const) {
    it.effect(
      `${count} runs are ${chunks.length} ${chunks.length > 1 ? "chunks" : "query"} a tick`,
      () =>
        Effect.gen(function* () {
          const repo = yield* openRepo()
          yield* openRuns(repo, count)
          yield* TestClock.adjust("1 second")
          const before = (yield* looks).rows.length
          yield* TestClock.adjust("4 seconds")
          const { maxInFlight, rows } = yield* looks
          assert.deepStrictEqual(rows.slice(before), [...chunks, ...chunks])
          assert.strictEqual(maxInFlight, 1)
        }).pipe(provided)
    )
  }

  it.effect("chunkSize is the most runs in one query", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo({ chunkSize: 4 })
      yield* openRuns(repo, 10)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* looks).rows, [4, 4, 2])
    }).pipe(provided)
  )

  it.effect("every run of every chunk is found", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const repo = yield* openRepo({ chunkSize: 4 })
      const runs = yield* openRuns(repo, 10)
      yield* TestClock.adjust("1 second")
      for (const { run } of runs) yield* store.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("1 second")
      const flags = yield* Effect.forEach(runs, ({ watcher }) => watcher.isCancelled)
      assert.deepStrictEqual(new Set(flags), new Set([true]))
    }).pipe(provided)
  )

  it.effect("two runs that watch the same message are looked at in the same query", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a") })
      yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* looks).rows, [2, 2, 2, 2, 2])
    }).pipe(provided)
  )

  it.effect("ticks never overlap, and a slow store slows them instead of piling up", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* openRuns(repo, 3)
      yield* TestClock.adjust("1 second")
      yield* faults.set({ stopRequests: Fault.slow("4 seconds") })
      // 2 s of pause and 4 s of look, ten times
      assert.strictEqual(yield* looksIn("1 minute"), 10)
      assert.strictEqual((yield* looks).maxInFlight, 1)
    }).pipe(provided)
  )

  it.effect("chunks of one tick are read one after the other", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo({ chunkSize: 1 })
      yield* openRuns(repo, 3)
      yield* TestClock.adjust("1 second")
      yield* faults.set({ stopRequests: Fault.slow("1 second") })
      // 2 s of pause and three looks of 1 s
      assert.strictEqual(yield* looksIn("20 seconds"), 12)
      assert.strictEqual((yield* looks).maxInFlight, 1)
    }).pipe(provided)
  )

  it.effect("the pause is measured from the end of a look", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* openRuns(repo, 1)
      yield* faults.set({ stopRequests: Fault.slow("1500 millis") })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* looks).calls, 1)
      yield* TestClock.adjust("3499 millis")
      assert.strictEqual((yield* looks).calls, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* looks).calls, 2)
    }).pipe(provided)
  )

  it.effect("the pause is measured from the end of a look that took too long, too", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* openRuns(repo, 1)
      yield* faults.set({ stopRequests: Fault.hang })
      yield* TestClock.adjust("2 seconds")
      // pollTimeout, then the pause
      yield* TestClock.adjust("6999 millis")
      assert.strictEqual((yield* looks).calls, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* looks).calls, 2)
      assert.strictEqual((yield* looks).maxInFlight, 1)
    }).pipe(provided)
  )

  it.effect("the smallest interval wins for all", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a"), pollInterval: "10 seconds" })
      yield* openRun(repo, { ref: refOf("b"), pollInterval: "500 millis" })
      yield* openRun(repo, { ref: refOf("c") })
      assert.strictEqual(yield* looksIn("1 minute"), 120)
      assert.deepStrictEqual(new Set((yield* looks).rows), new Set([3]))
    }).pipe(provided)
  )

  it.effect("the feed is woken when a smaller interval joins", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 hour" })
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* looks).calls, 0)
      yield* openRun(repo, { ref: refOf("b"), pollInterval: "1 second" })
      yield* TestClock.adjust("1 second")
      const { calls } = yield* looks
      assert.isAtLeast(calls, 1)
      assert.strictEqual(yield* looksIn("1 minute"), 60)
    }).pipe(provided)
  )

  it.effect("the feed goes back to the larger interval when the smaller one leaves", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 minute" })
      const quick = yield* openRun(repo, { ref: refOf("b"), pollInterval: "1 second" })
      assert.strictEqual(yield* looksIn("30 seconds"), 30)
      yield* quick.close()
      assert.strictEqual(yield* looksIn("59 seconds"), 0)
      assert.strictEqual(yield* looksIn("1 second"), 1)
      assert.strictEqual(yield* looksIn("10 minutes"), 10)
    }).pipe(provided)
  )

  it.effect("an interval wanted by two stays until both have left", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 minute" })
      const first = yield* openRun(repo, { ref: refOf("b"), pollInterval: "1 second" })
      const second = yield* openRun(repo, { ref: refOf("c"), pollInterval: "1 second" })
      yield* first.close()
      assert.strictEqual(yield* looksIn("1 minute"), 60)
      yield* second.close()
      assert.strictEqual(yield* looksIn("1 minute"), 1)
    }).pipe(provided)
  )

  it.effect("an interval leaves when its run is cancelled, not only when it is closed", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 minute" })
      const { watcher } = yield* openRun(repo, { ref: refOf("b"), pollInterval: "1 second" })
      yield* watcher.cancel("deadline")
      assert.strictEqual(yield* looksIn("10 minutes"), 10)
    }).pipe(provided)
  )

  it.effect("runs that join and leave all the time do not starve the tick", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: refOf("a") })
      yield* Effect.gen(function* () {
        for (let index = 0; index < 120; index++) {
          // another smallest interval each time, and each time gone before it is due
          const pollInterval = 1000 + index
          const { close } = yield* openRun(repo, { ref: refOf(`b-${index}`), pollInterval })
          yield* Effect.sleep("500 millis")
          yield* close()
        }
      }).pipe(Effect.forkChild)
      const { calls } = yield* looks
      yield* TestClock.adjust("1 minute")
      const ticks = (yield* looks).calls - calls
      assert.isAtLeast(ticks, 30)
      assert.isAtMost(ticks, 61)
    }).pipe(provided)
  )

  it.effect("runs that retarget all the time do not starve the tick", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* Effect.gen(function* () {
        for (let index = 0; index < 60; index++) {
          yield* watcher.retarget(MessageId.make(`next-${index}`))
          yield* Effect.sleep("1 second")
        }
      }).pipe(Effect.forkChild)
      assert.strictEqual(yield* looksIn("1 minute"), 30)
    }).pipe(provided)
  )

  it.effect(
    "a smaller interval that joins during a look does not make a second one beside it",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* openRepo()
        yield* openRun(repo, { ref: refOf("a") })
        yield* faults.set({ stopRequests: Fault.slow("4 seconds") })
        yield* TestClock.adjust("2 seconds")
        yield* openRun(repo, { ref: refOf("b"), pollInterval: "100 millis" })
        yield* TestClock.adjust("3900 millis")
        assert.strictEqual((yield* looks).calls, 1)
        yield* TestClock.adjust("200 millis")
        const { calls, maxInFlight } = yield* looks
        assert.deepStrictEqual([calls, maxInFlight], [2, 1])
      }).pipe(provided)
  )

  it.effect("a run that ends while it is looked at leaves a feed that still ticks", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ stopRequests: Fault.slow("1 second") })
      const first = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("2500 millis")
      yield* first.close()
      yield* openRun(repo, { ref: refOf("b") })
      yield* faults.heal
      assert.isAtLeast(yield* looksIn("1 minute"), 29)
    }).pipe(provided)
  )

  it.effect("a call of runWithCancellation wants its own interval, for its own time", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 minute" })
      const call = yield* Effect.sleep("30 seconds").pipe(
        watcher.runWithCancellation({ pollInterval: "1 second" }),
        Effect.forkChild({ startImmediately: true })
      )
      assert.isAtLeast(yield* looksIn("30 seconds"), 29)
      assert.isTrue(Option.isSome(yield* Fiber.join(call)))
      assert.strictEqual(yield* looksIn("10 minutes"), 10)
    }).pipe(provided)
  )

  it.effect(
    "the interval of a call leaves with a call that fails, and one that is interrupted",
    () =>
      Effect.gen(function* () {
        const repo = yield* openRepo()
        const { watcher } = yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 minute" })
        yield* Effect.fail("no").pipe(
          watcher.runWithCancellation({ pollInterval: "1 second" }),
          Effect.exit
        )
        const call = yield* Effect.never.pipe(
          watcher.runWithCancellation({ pollInterval: "1 second" }),
          Effect.forkChild({ startImmediately: true })
        )
        yield* Fiber.interrupt(call)
        assert.strictEqual(yield* looksIn("10 minutes"), 10)
      }).pipe(provided)
  )

  it.effect("a stop is found within the interval of the call", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const repo = yield* openRepo()
      const { run, watcher } = yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 hour" })
      const call = yield* Effect.never.pipe(
        watcher.runWithCancellation({ pollInterval: "1 second", cancelResult: "stopped" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      yield* store.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(call.pollUnsafe(), Exit.succeed("stopped"))
    }).pipe(provided)
  )

  it.effect("a call of streamWithCancellation wants its own interval, for its own time", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a"), pollInterval: "1 minute" })
      const call = yield* Stream.fromEffect(Effect.sleep("30 seconds")).pipe(
        watcher.streamWithCancellation({ pollInterval: "1 second" }),
        Stream.runDrain,
        Effect.forkChild({ startImmediately: true })
      )
      assert.isAtLeast(yield* looksIn("30 seconds"), 29)
      yield* Fiber.join(call)
      assert.strictEqual(yield* looksIn("10 minutes"), 10)
    }).pipe(provided)
  )

  it.effect("ten thousand runs that start at once are at most eleven statements", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.slow("5 millis") })
      const repo = yield* openRepo()
      yield* openRuns(repo, 10_000)
      yield* advanceUntil(startedRows, 10_000)
      const { startRuns, stopRequests } = yield* faults.counts
      assert.isAtMost(startRuns.calls, 11)
      assert.strictEqual(sum(startRuns.rows), 10_000)
      assert.isAtMost(Math.max(...startRuns.rows), 1000)
      assert.strictEqual(stopRequests.calls, 0)
    }).pipe(provided)
  )

  it.effect("ten thousand runs that end at once are at most eleven statements", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ starts: Fault.slow("5 millis"), advanceRuns: Fault.slow("5 millis") })
      const runs = yield* openRuns(repo, 10_000)
      yield* advanceUntil(startedRows, 10_000)
      const ends = yield* Effect.forEach(runs, ({ close }) => close(), {
        concurrency: "unbounded"
      }).pipe(Effect.forkChild({ startImmediately: true }))
      yield* advanceUntil(endedRows, 10_000)
      yield* Fiber.join(ends)
      const { advanceRuns } = yield* faults.counts
      assert.isAtMost(advanceRuns.calls, 11)
      assert.strictEqual(sum(advanceRuns.rows), 10_000)
    }).pipe(provided)
  )

  it.effect(
    "a thousand stops found in one tick, and their ends, are statements of many, not of one",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* openRepo({ chunkSize: 100 })
        yield* faults.set({ starts: Fault.slow("5 millis"), advanceRuns: Fault.slow("5 millis") })
        const runs = yield* openRuns(repo, 1000)
        yield* advanceUntil(startedRows, 1000)
        yield* faults.store.requestStop(chatTarget, byUser)
        const ends = yield* Effect.forEach(
          runs,
          ({ close, watcher }) => Effect.andThen(watcher.cancellation, close()),
          { concurrency: "unbounded" }
        ).pipe(Effect.forkChild({ startImmediately: true }))
        yield* advanceUntil(
          Effect.sync(() => (ends.pollUnsafe() === undefined ? 0 : 1)),
          1
        )
        yield* Fiber.join(ends)
        const { advanceRuns } = yield* faults.counts
        // the ends come while the tick still reads, so some batches are not full
        assert.isAtMost(advanceRuns.calls, 60)
        assert.isAtMost(Math.max(...advanceRuns.rows), 100)
      }).pipe(provided)
  )

  it.effect("ten thousand first looks at a lookup are at most eleven statements", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ reads: Fault.slow("5 millis") })
      const repo = yield* openRepo()
      yield* openRuns(repo, 10_000)
      yield* TestClock.adjust("1 second")
      assert.isAtMost((yield* looks).calls, 11)
    }).pipe(onLookup)
  )
})
