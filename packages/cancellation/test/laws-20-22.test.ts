import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Metric, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  type MessageRepo,
  MessageStore,
  ProcessId,
  type Run,
  RunQuery
} from "../src/index.ts"
import {
  byUser,
  callsNow,
  callsSince,
  faultyMemory,
  openProcess,
  openRepo,
  openRepoUntil,
  openRun,
  outcomeOf,
  receiptNow,
  recordIn,
  recordOf,
  refOf,
  runOf,
  runTarget
} from "./fixture-2.ts"

const provided = Effect.provide(faultyMemory)
const onMemory = Effect.provide(MessageStore.layerMemory())

describe("Law 20: No wall clock", () => {
  const src = new URL("../src/", import.meta.url)
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts")
  )
  const forbidden = [
    /\bDate\.now\b/,
    /\bnew Date\b(?!`)/,
    /\bDate\(\)/,
    /\bperformance\b/,
    /\bsetTimeout\b/,
    /\bsetInterval\b/,
    /\bsetImmediate\b/,
    /\bprocess\.hrtime\b/,
    /\bMath\.random\b/
  ]

  it("the scan sees the sources", () => {
    assert.includeMembers(files, ["MessageRepo.ts", "internal/feed.ts", "internal/memoryStore.ts"])
  })

  for (const file of files) {
    it(`${file} takes time only from Clock, and chance from nowhere`, () => {
      const lines = readFileSync(new URL(file, src), "utf8").split("\n")
      const found = lines.filter((line) => forbidden.some((pattern) => pattern.test(line)))
      assert.deepStrictEqual(found, [])
    })
  }

  it.effect("three days of a run pass in virtual time, tick for tick, and a stop is found", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const repo = yield* openRepo({ leaseTtl: "30 minutes" })
      const { close, run, watcher } = yield* openRun(repo, {
        ref: refOf("a"),
        pollInterval: "1 minute"
      })
      const work = yield* Effect.sleep("1 hour").pipe(
        Effect.repeat(Schedule.forever),
        watcher.runWithCancellation({ cancelResult: "stopped" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("3 days")
      const { renewLease, stopRequests } = yield* callsNow
      assert.deepStrictEqual([stopRequests, renewLease], [3 * 24 * 60, 3 * 24 * 6])
      assert.isUndefined(work.pollUnsafe())
      yield* store.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(work), "stopped")
      yield* close()
      const ended = yield* recordOf(run)
      const days = 3 * 24 * 60 * 60_000
      assert.deepStrictEqual(
        [ended?.startedAt, ended?.request?.userAbortedAt, ended?.outcome, ended?.endedAt],
        [0, days, "stopped", days + 60_000]
      )
    }).pipe(provided)
  )

  it.effect("the times of a stop are those of the clock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const repo = yield* openRepo()
      const { run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(runTarget(run), byUser)
      const event = yield* watcher.cancellation
      assert.deepStrictEqual(
        [event.request.userAbortedAt, event.detectedAt],
        [1_001_000, 1_001_000]
      )
    }).pipe(provided)
  )

  it.effect("with a clock that stands still nothing is asked and nothing is given up", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ starts: Fault.hang })
      yield* openRun(repo, { ref: refOf("a") })
      yield* faults.begun("startRuns", 1)
      for (let turn = 0; turn < 1000; turn++) yield* Effect.yieldNow
      assert.deepStrictEqual(yield* callsSince({}), { startRuns: 1 })
    }).pipe(provided)
  )
})

/** The lines logged from a level on, as they come. */
const logged = (level: "Error" | "Warn") => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === level) lines.push(String(Array.isArray(message) ? message[0] : message))
  })
  return { lines, layer: Logger.layer([logger]) }
}

const givenUp = Effect.map(
  Metric.value(CancellationMetrics.lastWritesGivenUp),
  ({ count }) => count
)

describe("Law 21: Last writes arrive", () => {
  it.effect("an outcome is written after an outage of ten seconds", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ all: Fault.fail })
      yield* close()
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(yield* outcomeOf(run))
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("observed and outcome are written after an outage of ten seconds", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* receiptNow(run))?._tag, "Requested")
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
      yield* close()
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
    }).pipe(provided)
  )

  for (const fault of ["fail", "hang", "die", "loseAnswer", "hangUninterruptibly"] as const) {
    it.effect(`an outcome outlives an outage in which writes ${fault}`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* openRepo()
        const { close, run } = yield* openRun(repo, { ref: refOf("a") })
        yield* TestClock.adjust("1 second")
        yield* faults.set({ writes: Fault[fault] })
        const closing = yield* Effect.forkChild(close(), { startImmediately: true })
        yield* TestClock.adjust("12 seconds")
        yield* Fiber.join(closing)
        yield* faults.heal
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* outcomeOf(run), "completed")
      }).pipe(provided)
    )
  }

  it.effect("an outcome that is written nine times in vain is written the tenth", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      const failing = Fault.flapping(...nine(), Fault.healthy)
      yield* faults.set({ advanceRuns: failing })
      yield* close()
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* outcomeOf(run), "completed")
      assert.strictEqual((yield* callsNow)["advanceRuns"], 10)
    }).pipe(provided)
  )

  const nine = (): [typeof Fault.fail, ...Array<typeof Fault.fail>] => [
    Fault.fail,
    ...Array.from({ length: 8 }, () => Fault.fail)
  ]

  it.effect("after an outage of forty seconds there is one error line, and a metric", () => {
    const { layer, lines } = logged("Error")
    return Effect.gen(function* () {
      const faults = yield* StoreFaults
      const before = yield* givenUp
      const repo = yield* openRepo()
      const a = yield* openRun(repo, { ref: refOf("a") })
      const b = yield* openRun(repo, { ref: refOf("b") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ all: Fault.fail })
      yield* Effect.forkChild(Effect.all([a.close(), b.close()], { concurrency: 2 }), {
        startImmediately: true
      })
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(lines, [])
      yield* TestClock.adjust("11 seconds")
      assert.lengthOf(lines, 1)
      assert.include(lines[0], "2 last writes")
      assert.strictEqual((yield* givenUp) - before, 2)
      yield* faults.heal
      const calls = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(calls), {})
      assert.lengthOf(lines, 1)
    }).pipe(provided, Effect.provide(layer))
  })

  it.effect("finalWriteTimeout is for how long they are tried again", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo({ finalWriteTimeout: "5 minutes" })
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ all: Fault.fail })
      yield* close()
      yield* TestClock.adjust("4 minutes")
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("the end of a run waits for the first attempt, not for the outage", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ all: Fault.fail })
      // no time passes
      yield* close()
      assert.strictEqual((yield* callsNow)["advanceRuns"], 1)
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
    }).pipe(provided)
  )

  it.effect("a healthy store has the outcome when the run's scope has closed", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* close()
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("a hanging advanceRuns does not hold up the end of a run longer than pollTimeout", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ advanceRuns: Fault.hang })
      const closing = yield* Effect.forkChild(close(), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(closing.pollUnsafe())
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
    }).pipe(provided)
  )

  it.effect("nor the end of a stopped run, whose observed hangs already", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ advanceRuns: Fault.hang })
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      yield* faults.begun("advanceRuns", 1)
      const closing = yield* Effect.forkChild(close(), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(closing.pollUnsafe())
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
    }).pipe(provided)
  )

  it.effect("nor the end of a run whose start hangs", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ all: Fault.hang })
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* faults.begun("startRuns", 1)
      const closing = yield* Effect.forkChild(close(), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(closing.pollUnsafe())
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("nor the end of one run of many, each of which hangs", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const a = yield* openRun(repo, { ref: refOf("a") })
      const b = yield* openRun(repo, { ref: refOf("b") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ advanceRuns: Fault.hang })
      const first = yield* Effect.forkChild(a.close(), { startImmediately: true })
      yield* faults.begun("advanceRuns", 1)
      const second = yield* Effect.forkChild(b.close(), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(first.pollUnsafe())
      assert.isDefined(second.pollUnsafe())
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
      const outcomes = yield* Effect.forEach([a.run, b.run], outcomeOf)
      assert.deepStrictEqual(outcomes, ["completed", "completed"])
    }).pipe(provided)
  )

  it.effect("closing the repo waits for last writes through an outage", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close: closeRepo, repo } = yield* openRepoUntil()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ all: Fault.fail })
      yield* close()
      const closing = yield* Effect.forkChild(closeRepo, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  for (const fault of ["fail", "hang", "hangUninterruptibly"] as const) {
    it.effect(`closing the repo waits at most finalWriteTimeout while writes ${fault}`, () => {
      const { layer, lines } = logged("Error")
      return Effect.gen(function* () {
        const faults = yield* StoreFaults
        const before = yield* givenUp
        const { close: closeRepo, repo } = yield* openRepoUntil()
        const { close } = yield* openRun(repo, { ref: refOf("a") })
        yield* TestClock.adjust("1 second")
        yield* faults.set({ all: Fault[fault] })
        const ending = yield* Effect.forkChild(close(), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(ending)
        const closing = yield* Effect.forkChild(closeRepo, { startImmediately: true })
        yield* TestClock.adjust("30 seconds")
        assert.isDefined(closing.pollUnsafe())
        assert.lengthOf(lines, 1)
        assert.strictEqual((yield* givenUp) - before, 1)
        yield* faults.heal
      }).pipe(provided, Effect.provide(layer))
    })
  }

  it.effect("closing a repo that has nothing to write waits for nothing", () =>
    Effect.gen(function* () {
      const { close: closeRepo, repo } = yield* openRepoUntil()
      const { close } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* close()
      yield* closeRepo
    }).pipe(provided)
  )

  it.effect("a start that arrives only after the outage is followed by its outcome", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ all: Fault.fail })
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("5 seconds")
      yield* close()
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(yield* recordOf(run))
      yield* faults.heal
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("a start whose answer was lost is followed by its outcome", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ starts: Fault.loseAnswer })
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* faults.ended("startRuns", 1)
      yield* close()
      yield* faults.heal
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("a start that never arrives is given up with its outcome, once", () => {
    const { layer, lines } = logged("Error")
    return Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ all: Fault.fail })
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("5 seconds")
      yield* close()
      yield* TestClock.adjust("40 seconds")
      assert.lengthOf(lines, 1)
      yield* faults.heal
      const calls = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(calls), {})
      assert.isUndefined(yield* recordOf(run))
    }).pipe(provided, Effect.provide(layer))
  })

  it.effect("a run that is over before its start was sent costs nothing", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close } = yield* openRun(repo, { ref: refOf("a") })
      yield* close()
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(provided)
  )

  it.effect("an outcome never goes before the start of its run", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ starts: Fault.slow("3 seconds") })
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* faults.begun("startRuns", 1)
      const closing = yield* Effect.forkChild(close(), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* callsSince({}), { startRuns: 1 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("the last write of a run that was forgotten meanwhile is not tried for ever", () => {
    const { layer, lines } = logged("Error")
    return Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* close()
      yield* faults.store.forget({ _tag: "Chat", chatId: run.ref.chatId })
      yield* faults.heal
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* recordOf(run))
      assert.deepStrictEqual(lines, [])
    }).pipe(provided, Effect.provide(layer))
  })
})

describe("Law 22: Lost is certain", () => {
  const dead = ProcessId.make("dead")
  const deadRun = runOf(refOf("dead"), "dead")

  /** A run of a process that has died, whose lease is good for a while yet. */
  const leaveBehind = (store: MessageStore["Service"], ttl: "1 second" | "30 seconds" | "1 hour") =>
    Effect.flatMap(Effect.succeed(ttl), (lease) =>
      store.startRuns([deadRun], { owner: dead, ttl: durations[lease] })
    )
  const durations = { "1 second": 1000, "30 seconds": 30_000, "1 hour": 3_600_000 } as never

  /** Whether a run is called lost just before a moment, and at it. */
  const lostBetween = Effect.fnUntraced(function* (store: MessageStore["Service"], run: Run) {
    const record = yield* recordIn(store, run)
    return record?.outcome === "lost"
  })

  const shared = Effect.map(MessageStore, (store) => store)

  const watching = (repo: MessageRepo["Service"], name: string) =>
    openRun(repo, { ref: refOf(name) })

  it.effect("a run whose process died is lost when its lease has expired, not before", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const b = yield* openProcess(store, "b")
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 minute")
      // b has earned its right to sweep, and sweeps every ten seconds
      yield* leaveBehind(store, "30 seconds")
      yield* TestClock.adjust("29 seconds")
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* TestClock.adjust("11 seconds")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("a run whose process lives is not lost, however long it runs", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const a = yield* openProcess(store, "a")
      const b = yield* openProcess(store, "b")
      const one = yield* watching(a.repo, "a")
      const two = yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 hour")
      assert.isFalse(yield* lostBetween(store, one.run))
      assert.isFalse(yield* lostBetween(store, two.run))
      assert.isFalse(yield* one.watcher.check)
    }).pipe(onMemory)
  )

  it.effect("a process is not lost while it only stutters: one renewal in three arrives", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const a = yield* openProcess(store, "a")
      const b = yield* openProcess(store, "b")
      const { run } = yield* watching(a.repo, "a")
      yield* watching(b.repo, "b")
      // the lease of 30 s is renewed at every second attempt, 20 s apart
      yield* a.faults.set({ renewLease: Fault.every(2, Fault.fail) })
      yield* TestClock.adjust("1 hour")
      assert.isFalse(yield* lostBetween(store, run))
    }).pipe(onMemory)
  )

  it.effect("a sweeper waits a whole leaseTtl of its own renewals", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      yield* TestClock.adjust("10 minutes")
      const b = yield* openProcess(store, "b")
      yield* watching(b.repo, "b")
      // its first renewal is after ten seconds, its right to sweep thirty later
      yield* TestClock.adjust("39 seconds")
      assert.isFalse(yield* lostBetween(store, deadRun))
      assert.strictEqual((yield* b.faults.counts).sweepLost.calls, 0)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("a renewal that fails makes it wait again", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      const b = yield* openProcess(store, "b")
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("35 seconds")
      yield* b.faults.set({ renewLease: Fault.fail })
      yield* TestClock.adjust("10 seconds")
      yield* b.faults.heal
      // renewed again at 50 s
      yield* TestClock.adjust("34 seconds")
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("a gap without a failure makes it wait again: a process that was frozen", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const b = yield* openProcess(store, "b", { pollTimeout: "5 minutes" })
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("95 seconds")
      // the renewal at 100 s is answered at 140 s
      yield* b.faults.set({ renewLease: Fault.slow("40 seconds") })
      yield* TestClock.adjust("5 seconds")
      yield* leaveBehind(store, "1 second")
      yield* b.faults.set({ renewLease: Fault.healthy })
      const swept = (yield* b.faults.counts).sweepLost.calls
      yield* TestClock.adjust("40 seconds")
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual((yield* b.faults.counts).sweepLost.calls, swept)
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("a process that was idle for a while must earn its right anew", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const b = yield* openProcess(store, "b")
      const first = yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 minute")
      yield* first.close()
      yield* leaveBehind(store, "1 second")
      yield* TestClock.adjust("5 seconds")
      yield* watching(b.repo, "c")
      yield* TestClock.adjust("39 seconds")
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("leaseTtl sets all of these times", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      const b = yield* openProcess(store, "b", { leaseTtl: "3 seconds" })
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("3900 millis")
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* TestClock.adjust("100 millis")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("a second process that starts beside live runs marks none", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const a = yield* openProcess(store, "a")
      const runs = yield* Effect.forEach(["1", "2", "3"], (name) => watching(a.repo, name))
      yield* TestClock.adjust("1 hour")
      const b = yield* openProcess(store, "b")
      yield* Effect.forkScoped(Effect.scoped(Effect.andThen(b.repo.sweepLost, Effect.never)))
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 hour")
      assert.isAbove((yield* b.faults.counts).sweepLost.calls, 300)
      for (const { run, watcher } of runs) {
        assert.isUndefined((yield* recordIn(store, run))?.outcome)
        assert.isFalse(yield* watcher.isCancelled)
      }
    }).pipe(onMemory)
  )

  it.effect("a run that has ended, or belongs to no process, is never lost", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      yield* store.advanceRuns([{ run: deadRun, to: "failed" }])
      const nobodys = runOf(refOf("nobodys"), "1")
      yield* store.startRuns([nobodys])
      const b = yield* openProcess(store, "b")
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual((yield* recordIn(store, deadRun))?.outcome, "failed")
      assert.isUndefined((yield* recordIn(store, nobodys))?.outcome)
    }).pipe(onMemory)
  )

  /** A process cut off from the store for so long that another one has swept it. */
  const swept = Effect.gen(function* () {
    const store = yield* shared
    const a = yield* openProcess(store, "a")
    const b = yield* openProcess(store, "b")
    const victim = yield* watching(a.repo, "a")
    yield* watching(b.repo, "b")
    yield* TestClock.adjust("1 minute")
    yield* a.faults.set({ all: Fault.fail })
    yield* TestClock.adjust("45 seconds")
    assert.isTrue(yield* lostBetween(store, victim.run))
    return { store, a, b, victim }
  })

  it.effect("an owner that comes back after being swept has its watchers cancelled", () =>
    Effect.gen(function* () {
      const { a, victim } = yield* swept
      assert.isFalse(yield* victim.watcher.isCancelled)
      yield* a.faults.heal
      yield* TestClock.adjust("2 seconds")
      const event = yield* victim.watcher.cancellation
      assert.strictEqual(event.request.reason, "unreachable")
    }).pipe(onMemory)
  )

  it.effect("an owner that comes back after being swept has its work interrupted", () =>
    Effect.gen(function* () {
      const { a, victim } = yield* swept
      const work = yield* Effect.never.pipe(
        victim.watcher.runWithCancellation({ cancelResult: "gone" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* a.faults.heal
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(work.pollUnsafe(), Exit.succeed("gone"))
    }).pipe(onMemory)
  )

  it.effect("an owner that comes back after being swept finds its outcome refused", () =>
    Effect.gen(function* () {
      const { a, store, victim } = yield* swept
      const before = yield* recordIn(store, victim.run)
      yield* a.faults.heal
      yield* victim.close()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* recordIn(store, victim.run), before)
    }).pipe(onMemory)
  )

  it.effect("an owner that comes back after being swept finds observed refused", () =>
    Effect.gen(function* () {
      const { a, store, victim } = yield* swept
      yield* a.faults.heal
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined((yield* recordIn(store, victim.run))?.observedAt)
      assert.strictEqual((yield* recordIn(store, victim.run))?.outcome, "lost")
    }).pipe(onMemory)
  )

  it.effect("a lost run cannot be stopped any more, and the receipt says why", () =>
    Effect.gen(function* () {
      const { a, b, victim } = yield* swept
      const [receipt] = yield* b.repo.requestStop(runTarget(victim.run), byUser)
      yield* a.faults.heal
      assert.strictEqual(receipt?._tag, "TooLate")
      if (receipt?._tag === "TooLate") assert.strictEqual(receipt.outcome, "lost")
    }).pipe(onMemory)
  )

  it.effect("a stop that was asked before its run was lost is ended by that", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      yield* store.requestStop(runTarget(deadRun), byUser)
      const b = yield* openProcess(store, "b")
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 minute")
      const [receipt] = yield* b.repo.requestStop(runTarget(deadRun), byUser)
      assert.strictEqual(receipt?._tag, "Ended")
      if (receipt?._tag === "Ended") assert.strictEqual(receipt.outcome, "lost")
    }).pipe(onMemory)
  )

  it.effect("an outage of less than a lease loses nobody", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const a = yield* openProcess(store, "a")
      const b = yield* openProcess(store, "b")
      const victim = yield* watching(a.repo, "a")
      yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 minute")
      yield* a.faults.set({ all: Fault.fail })
      yield* TestClock.adjust("19 seconds")
      yield* a.faults.heal
      yield* TestClock.adjust("10 minutes")
      assert.isFalse(yield* lostBetween(store, victim.run))
      assert.isFalse(yield* victim.watcher.isCancelled)
    }).pipe(onMemory)
  )

  for (const fault of ["fail", "hang", "hangUninterruptibly"] as const) {
    it.effect(`after an outage of all processes (calls ${fault}) none is called lost`, () =>
      Effect.gen(function* () {
        const store = yield* shared
        const names = ["a", "b", "c"]
        const processes = yield* Effect.forEach(names, (name) => openProcess(store, name))
        const runs = yield* Effect.forEach(processes, ({ repo }, index) =>
          watching(repo, `run-${index}`)
        )
        yield* TestClock.adjust("1 minute")
        for (const { faults } of processes) yield* faults.set({ all: Fault[fault] })
        yield* TestClock.adjust("10 minutes")
        // they come back one after the other
        for (const { faults } of processes) {
          yield* faults.heal
          yield* TestClock.adjust("7 seconds")
        }
        yield* TestClock.adjust("10 minutes")
        for (const { run, watcher } of runs) {
          assert.isUndefined((yield* recordIn(store, run))?.outcome)
          assert.isFalse(yield* watcher.isCancelled)
        }
      }).pipe(onMemory)
    )
  }

  it.effect("sweepLost finds lost runs while nothing runs here", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      const b = yield* openProcess(store, "b")
      const sweeping = yield* Effect.andThen(b.repo.sweepLost, Effect.never).pipe(
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("39 seconds")
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* lostBetween(store, deadRun))
      yield* Fiber.interrupt(sweeping)
      const { renewLease } = yield* b.faults.counts
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* b.faults.counts).renewLease.calls, renewLease.calls)
    }).pipe(onMemory)
  )

  it.effect("sweepLost beside runs is one renewal, and outlives them", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const b = yield* openProcess(store, "b")
      yield* Effect.forkScoped(Effect.scoped(Effect.andThen(b.repo.sweepLost, Effect.never)))
      const { close } = yield* watching(b.repo, "b")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* b.faults.counts).renewLease.calls, 6)
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* b.faults.counts).renewLease.calls, 12)
    }).pipe(onMemory)
  )

  it.effect("sweepLost on a store without leases does nothing", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* repo.sweepLost
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(Effect.provide(StoreFaults.layer(MessageStore.fromLookup(() => Effect.succeed([])))))
  )

  it.effect("a sweep that fails is tried again", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      const b = yield* openProcess(store, "b")
      yield* watching(b.repo, "b")
      yield* b.faults.set({ sweepLost: Fault.die })
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* lostBetween(store, deadRun))
      yield* b.faults.heal
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* lostBetween(store, deadRun))
    }).pipe(onMemory)
  )

  it.effect("a run that was lost elsewhere and is delivered here again says so, and runs", () =>
    Effect.gen(function* () {
      const { layer, lines } = logged("Warn")
      yield* Effect.gen(function* () {
        const store = yield* shared
        yield* leaveBehind(store, "1 second")
        yield* store.advanceRuns([{ run: deadRun, to: "lost" }])
        const b = yield* openProcess(store, "b")
        const { watcher } = yield* openRun(b.repo, { ref: deadRun.ref, runId: deadRun.runId })
        yield* TestClock.adjust("1 minute")
        assert.isFalse(yield* watcher.check)
        assert.lengthOf(
          lines.filter((line) => line.includes("ended before (lost)")),
          1
        )
      }).pipe(Effect.provide(layer))
    }).pipe(onMemory)
  )

  it.effect("a job taken over by another process belongs to that one", () =>
    Effect.gen(function* () {
      const store = yield* shared
      yield* leaveBehind(store, "1 second")
      const b = yield* openProcess(store, "b")
      const { watcher } = yield* openRun(b.repo, { ref: deadRun.ref, runId: deadRun.runId })
      yield* TestClock.adjust("10 minutes")
      assert.isFalse(yield* lostBetween(store, deadRun))
      assert.isFalse(yield* watcher.isCancelled)
      const found = yield* store.findRuns(RunQuery.cases.Refs.make({ refs: [deadRun.ref] }))
      assert.match(found[0]?.owner ?? "", /^b:/)
    }).pipe(onMemory)
  )

  it.effect("two repos of one program are two owners", () =>
    Effect.gen(function* () {
      const one = yield* openRepo()
      const two = yield* openRepo()
      const a = yield* openRun(one, { ref: refOf("a") })
      const b = yield* openRun(two, { ref: refOf("b") })
      yield* TestClock.adjust("1 second")
      assert.notStrictEqual((yield* recordOf(a.run))?.owner, (yield* recordOf(b.run))?.owner)
    }).pipe(Effect.provide(Layer.fresh(faultyMemory)))
  )
})
