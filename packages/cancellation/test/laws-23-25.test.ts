import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { CancellationEvent, ForgetQuery, MessageId, MessageStore } from "../src/index.ts"
import {
  byUser,
  callsNow,
  callsSince,
  faultyMemory,
  openRepo,
  openRun,
  outcomeOf,
  receiptNow,
  recordOf,
  refOf,
  runIdOf,
  runTarget
} from "./fixture-2.ts"

const provided = Effect.provide(faultyMemory)

/** A run that the store knows. */
const started = Effect.fnUntraced(function* (
  options?: Omit<Parameters<typeof openRun>[1], "ref" | "runId">
) {
  const repo = yield* openRepo()
  const opened = yield* openRun(repo, { ...options, ref: refOf("a") })
  yield* TestClock.adjust("1 second")
  return { repo, ...opened }
})

describe("Law 23: A throwing listener", () => {
  it.effect("the signal is made on first use, and is the same from then on", () =>
    Effect.gen(function* () {
      const { watcher } = yield* started()
      const signal = yield* watcher.abortSignal
      assert.instanceOf(signal, AbortSignal)
      assert.isFalse(signal.aborted)
      assert.strictEqual(yield* watcher.abortSignal, signal)
    }).pipe(provided)
  )

  it.effect("the signal is aborted in the step of detection, once", () =>
    Effect.gen(function* () {
      const { repo, run, watcher } = yield* started()
      const signal = yield* watcher.abortSignal
      let aborts = 0
      signal.addEventListener("abort", () => aborts++)
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      // waiters are told first, within the same step
      yield* Effect.yieldNow
      assert.isTrue(signal.aborted)
      yield* TestClock.adjust("10 seconds")
      yield* watcher.cancel("deadline")
      assert.strictEqual(aborts, 1)
    }).pipe(provided)
  )

  for (const when of ["early", "late"] as const) {
    it.effect(
      `the reason of a signal taken ${when} is an AbortError whose cause is the event`,
      () =>
        Effect.gen(function* () {
          const { repo, run, watcher } = yield* started()
          const early = when === "early" ? yield* watcher.abortSignal : undefined
          yield* repo.requestStop(runTarget(run), byUser)
          const event = yield* watcher.cancellation
          // waiters are told first, within the same step
          yield* TestClock.adjust("1 second")
          const signal = early ?? (yield* watcher.abortSignal)
          assert.isTrue(signal.aborted)
          const reason: unknown = signal.reason
          assert.instanceOf(reason, Error)
          if (!(reason instanceof Error)) return
          assert.strictEqual(reason.name, "AbortError")
          assert.instanceOf(reason.cause, CancellationEvent)
          assert.strictEqual(reason.cause, event)
          assert.include(reason.message, "user")
        }).pipe(provided)
    )
  }

  it.effect("a run that ends without a stop does not abort its signal", () =>
    Effect.gen(function* () {
      const { close, watcher } = yield* started()
      const signal = yield* watcher.abortSignal
      yield* close()
      assert.isFalse(signal.aborted)
    }).pipe(provided)
  )

  it.effect("a listener that throws is the program's own uncaught error, and breaks nothing", () =>
    Effect.gen(function* () {
      const uncaught: Array<unknown> = []
      // Takes the place of every listener of the test runner while it is set.
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error))
        ),
        () => Effect.sync(() => process.setUncaughtExceptionCaptureCallback(null))
      )
      const { close, repo, run, watcher } = yield* started()
      const other = yield* openRun(repo, { ref: refOf("b") })
      yield* TestClock.adjust("1 second")
      const signal = yield* watcher.abortSignal
      let next = 0
      const thrown = new Error("thrown by a listener")
      signal.addEventListener("abort", () => {
        throw thrown
      })
      signal.addEventListener("abort", () => next++)
      let handled = 0
      yield* watcher.onCancellation(() => Effect.sync(() => handled++))
      const work = yield* Effect.never.pipe(
        watcher.runWithCancellation({ cancelResult: "stopped" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* repo.requestStop(runTarget(run), byUser)
      yield* repo.requestStop(runTarget(other.run), byUser)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(work), "stopped")
      assert.deepStrictEqual([handled, next], [1, 1])
      assert.isTrue(yield* other.watcher.isCancelled)
      yield* close()
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
      // Node reports it on its next tick, which is over when a macrotask runs.
      yield* Effect.callback<void>((resume) => {
        setImmediate(() => resume(Effect.void))
      })
      assert.deepStrictEqual(uncaught, [thrown])
    }).pipe(provided)
  )
})

describe("Law 24: Drain", () => {
  it.effect("the drain of an idle repo returns at once", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* repo.drain({ timeout: "1 hour" })
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(provided)
  )

  it.effect("runs under way may end by themselves within the timeout", () =>
    Effect.gen(function* () {
      const { close, repo, run, watcher } = yield* started()
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 minute" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(drain.pollUnsafe())
      assert.isFalse(yield* watcher.isCancelled)
      yield* close()
      yield* Fiber.join(drain)
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("it waits for all runs, not for one", () =>
    Effect.gen(function* () {
      const { close, repo } = yield* started()
      const other = yield* openRun(repo, { ref: refOf("b") })
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 minute" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      yield* close()
      yield* TestClock.adjust("1 second")
      assert.isUndefined(drain.pollUnsafe())
      assert.isFalse(yield* other.watcher.isCancelled)
      yield* other.close()
      yield* Fiber.join(drain)
    }).pipe(provided)
  )

  it.effect("a user's stop during the drain is still found, by polling", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const { close, repo, run, watcher } = yield* started()
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 minute" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("10 seconds")
      yield* store.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* watcher.cancellation).request.reason, "user")
      yield* close()
      yield* Fiber.join(drain)
      assert.strictEqual(yield* outcomeOf(run), "stopped")
    }).pipe(provided)
  )

  it.effect("what is left is cancelled for shutdown, and ends as interrupted", () =>
    Effect.gen(function* () {
      const { close, repo, run, watcher } = yield* started()
      const work = yield* Effect.never.pipe(
        watcher.runWithCancellation({ cancelResult: "cancelled" }),
        Effect.tap(() => Effect.sleep("3 seconds")),
        Effect.ensuring(close()),
        Effect.forkChild({ startImmediately: true })
      )
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 minute" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("59999 millis")
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* watcher.cancellation).request.reason, "shutdown")
      // it waits for what it has cancelled
      assert.isUndefined(drain.pollUnsafe())
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(drain)
      assert.strictEqual(yield* Fiber.join(work), "cancelled")
      assert.strictEqual(yield* outcomeOf(run), "interrupted")
      assert.isUndefined((yield* recordOf(run))?.request)
    }).pipe(provided)
  )

  it.effect("with a timeout of zero they are cancelled at once", () =>
    Effect.gen(function* () {
      const { close, repo, run, watcher } = yield* started()
      yield* watcher.cancellation.pipe(
        Effect.ensuring(close()),
        Effect.forkChild({ startImmediately: true })
      )
      yield* repo.drain({ timeout: 0 })
      assert.strictEqual(yield* outcomeOf(run), "interrupted")
    }).pipe(provided)
  )

  it.effect("last writes are waited for through an outage", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close, repo, run } = yield* started()
      yield* faults.set({ all: Fault.fail })
      yield* close()
      const drain = yield* Effect.forkChild(repo.drain({ timeout: 0 }), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(drain.pollUnsafe())
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(drain)
      assert.strictEqual(yield* outcomeOf(run), "completed")
    }).pipe(provided)
  )

  it.effect("last writes are waited for at most finalWriteTimeout", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close, repo } = yield* started()
      yield* faults.set({ all: Fault.hang })
      yield* Effect.forkChild(close(), { startImmediately: true })
      const drain = yield* Effect.forkChild(repo.drain({ timeout: 0 }), { startImmediately: true })
      yield* TestClock.adjust("36 seconds")
      assert.isDefined(drain.pollUnsafe())
      yield* faults.heal
    }).pipe(provided)
  )

  it.effect("a run that never ends does not hold the drain for ever", () =>
    Effect.gen(function* () {
      const { repo, watcher } = yield* started()
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "10 seconds" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("40 seconds")
      assert.isDefined(drain.pollUnsafe())
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(provided)
  )

  it.effect("after it the feed is closed: no query, no lease, whatever hints come", () =>
    Effect.gen(function* () {
      const { repo, run } = yield* started()
      yield* Effect.forkScoped(Effect.scoped(Effect.andThen(repo.sweepLost, Effect.never)))
      const drain = yield* Effect.forkChild(repo.drain({ timeout: 0 }), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(drain)
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(before), {})
      const asked = yield* Effect.forkChild(repo.requestStop(runTarget(run), byUser))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(asked)
      assert.deepStrictEqual(yield* callsSince(before), { requestStop: 1 })
    }).pipe(provided)
  )

  it.effect("two drains at once both end", () =>
    Effect.gen(function* () {
      const { close, repo, run, watcher } = yield* started()
      yield* watcher.cancellation.pipe(
        Effect.ensuring(close()),
        Effect.forkChild({ startImmediately: true })
      )
      const drains = yield* Effect.forkChild(
        Effect.all([repo.drain({ timeout: "10 seconds" }), repo.drain({ timeout: "20 seconds" })], {
          concurrency: 2
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(drains)
      assert.strictEqual(yield* outcomeOf(run), "interrupted")
      yield* repo.drain({ timeout: "1 hour" })
    }).pipe(provided)
  )

  it.effect("a run that begins during the drain is cancelled at once", () =>
    Effect.gen(function* () {
      const { close, repo, watcher } = yield* started()
      const drain = yield* Effect.forkChild(repo.drain({ timeout: "1 minute" }), {
        startImmediately: true
      })
      const late = yield* openRun(repo, { ref: refOf("b") })
      assert.strictEqual((yield* late.watcher.cancellation).request.reason, "shutdown")
      assert.isFalse(yield* watcher.isCancelled)
      const result = yield* Effect.die("must not start").pipe(
        late.watcher.runWithCancellation({ cancelResult: "not started" })
      )
      assert.strictEqual(result, "not started")
      yield* late.close()
      yield* close()
      yield* Fiber.join(drain)
    }).pipe(provided)
  )

  it.effect("a run that begins after the drain is cancelled at once, and nothing hangs", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* repo.drain({ timeout: 0 })
      const late = yield* openRun(repo, { ref: refOf("b") })
      assert.strictEqual((yield* late.watcher.cancellation).request.reason, "shutdown")
      assert.isTrue(yield* late.watcher.check)
      yield* late.watcher.retarget(MessageId.make("next"))
      const signal = yield* late.watcher.abortSignal
      assert.isTrue(signal.aborted)
      yield* late.close()
      yield* repo.drain({ timeout: "1 hour" })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(provided)
  )

  it.effect("the same on a lookup, which has no starts and no leases", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a") })
      yield* first.watcher.cancellation.pipe(
        Effect.ensuring(first.close()),
        Effect.forkChild({ startImmediately: true })
      )
      yield* repo.drain({ timeout: 0 })
      const late = yield* openRun(repo, { ref: refOf("b") })
      assert.isTrue(yield* late.watcher.isCancelled)
      yield* late.close()
      const before = yield* callsNow
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* callsSince(before), {})
    }).pipe(Effect.provide(StoreFaults.layer(MessageStore.fromLookup(() => Effect.succeed([])))))
  )

  it.effect("the library installs no signal handlers", () =>
    Effect.gen(function* () {
      const names = ["SIGINT", "SIGTERM", "SIGHUP", "beforeExit", "exit"] as const
      const before = names.map((name) => process.listenerCount(name))
      const { close, repo } = yield* started()
      yield* close()
      yield* repo.drain({ timeout: 0 })
      assert.deepStrictEqual(
        names.map((name) => process.listenerCount(name)),
        before
      )
    }).pipe(provided)
  )
})

describe("Law 25: Deleted", () => {
  const everything = ForgetQuery.cases.Chat.make({ chatId: refOf("a").chatId })

  it.effect("a run whose row is gone in two looks running is cancelled", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const { watcher } = yield* started()
      yield* store.forget(everything)
      // ticks at 2 s and at 4 s
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* watcher.isCancelled)
      assert.strictEqual((yield* watcher.cancellation).request.reason, "deleted")
    }).pipe(provided)
  )

  it.effect("forget on a running run cancels it, and its work ends", () =>
    Effect.gen(function* () {
      const { close, repo, run, watcher } = yield* started()
      const work = yield* Effect.never.pipe(
        watcher.runWithCancellation({ cancelResult: "deleted" }),
        Effect.forkChild({ startImmediately: true })
      )
      assert.strictEqual(yield* repo.forget(everything), 1)
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(work.pollUnsafe(), Exit.succeed("deleted"))
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* recordOf(run))
    }).pipe(provided)
  )

  it.effect("only the run whose row is gone is cancelled", () =>
    Effect.gen(function* () {
      const { repo, watcher } = yield* started()
      const other = yield* openRun(repo, { ref: refOf("a", "other") })
      yield* TestClock.adjust("1 second")
      yield* repo.forget(everything)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* watcher.isCancelled)
      assert.isFalse(yield* other.watcher.isCancelled)
    }).pipe(provided)
  )

  /** A store that can be told to leave out all rows. */
  const forgetful = Effect.gen(function* () {
    const store = yield* MessageStore
    const state = { absent: false }
    const service = MessageStore.of({
      ...store,
      stopRequests: (runs) =>
        Effect.map(store.stopRequests(runs), (look) =>
          state.absent ? { ...look, gone: runs, requests: [] } : look
        )
    })
    const repo = yield* openRepo().pipe(Effect.provideService(MessageStore, service))
    return { state, repo }
  })

  it.effect("once is not enough: the row is there again in the next look", () =>
    Effect.gen(function* () {
      const { repo, state } = yield* forgetful
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      for (let round = 0; round < 20; round++) {
        state.absent = !state.absent
        yield* TestClock.adjust("2 seconds")
      }
      assert.isFalse(yield* watcher.isCancelled)
      state.absent = true
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(provided)
  )

  it.effect("a failed look between two absences is no look", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { repo, state } = yield* forgetful
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ reads: Fault.fail })
      state.absent = true
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
    }).pipe(provided)
  )

  it.effect("a row never seen is not deleted: its start is still on its way", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ starts: Fault.fail })
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 minute")
      assert.isAbove((yield* callsNow)["stopRequests"] ?? 0, 10)
      assert.isFalse(yield* watcher.isCancelled)
      yield* faults.heal
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
    }).pipe(provided)
  )

  it.effect("checks are looks, too", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const { watcher } = yield* started({ pollInterval: "1 hour" })
      yield* store.forget(everything)
      assert.isFalse(yield* watcher.check)
      assert.isTrue(yield* watcher.check)
    }).pipe(provided)
  )

  it.effect("late writes never bring the row back", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close, repo, run, watcher } = yield* started()
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      const closing = yield* Effect.forkChild(close(), { startImmediately: true })
      yield* repo.forget(everything)
      yield* faults.heal
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(closing)
      assert.isUndefined(yield* recordOf(run))
    }).pipe(provided)
  )

  it.effect("the same run begun anew is a new row, and the old watcher does not end it", () =>
    Effect.gen(function* () {
      const { close, repo, run, watcher } = yield* started()
      yield* repo.forget(everything)
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(yield* watcher.isCancelled)
      const again = yield* openRun(repo, { ref: run.ref, runId: runIdOf("again") })
      yield* TestClock.adjust("1 second")
      yield* close()
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* again.watcher.check)
      assert.isUndefined(yield* outcomeOf(again.run))
    }).pipe(provided)
  )

  it.effect("forgetting what has ended before a time leaves what runs", () =>
    Effect.gen(function* () {
      const { repo, run, watcher } = yield* started()
      const erased = yield* repo.forget(ForgetQuery.cases.EndedBefore.make({ time: 1e12 }))
      assert.strictEqual(erased, 0)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
      assert.isDefined(yield* recordOf(run))
    }).pipe(provided)
  )
})
