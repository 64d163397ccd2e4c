/** Law 12, where the store answers some calls and not others. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  MessageId,
  MessageRepo,
  MessageStore,
  RunQuery,
  StopIntent,
  type StopRequest,
  StopTarget
} from "../src/index.ts"
import {
  exitOf,
  forkNow,
  inLab,
  linesAt,
  open,
  openKnown,
  recordOf,
  settle,
  stopElsewhere
} from "./fixture-1.ts"

const blind = Effect.map(Metric.value(CancellationMetrics.blindRuns), ({ value }) => value)

describe("Law 12: Starts that fail, reads that work", () => {
  for (const kind of ["fail", "die", "hang"] as const) {
    it.effect(`starts that ${kind} are one warning, a blind run, and one line at the end`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* faults.set({ starts: Fault[kind] })
        const { run, watcher } = yield* open()
        yield* TestClock.adjust("1 minute")
        assert.isAbove((yield* faults.counts).stopRequests.ended, 10)
        assert.strictEqual(yield* blind, 1)
        const [warning, ...more] = yield* linesAt("Warn")
        assert.include(warning?.text, "cannot be asked for stops")
        assert.deepStrictEqual([...more, ...(yield* linesAt("Info"))], [])
        yield* faults.heal
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* blind, 0)
        assert.lengthOf(yield* linesAt("Warn"), 1)
        const [line, ...others] = yield* linesAt("Info")
        assert.include(line?.text, "answers again")
        assert.deepStrictEqual(others, [])
        assert.isFalse(yield* watcher.isCancelled)
        yield* stopElsewhere(run)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* watcher.isCancelled)
      }).pipe(inLab())
    )
  }

  it.effect("a run whose start the store refuses is under maxBlind", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.fail })
      const { watcher } = yield* open()
      yield* TestClock.adjust("29999 millis")
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(yield* watcher.isCancelled)
      assert.strictEqual((yield* watcher.cancellation).request.reason, "unreachable")
      assert.strictEqual(yield* blind, 0)
    }).pipe(inLab({ maxBlind: "30 seconds" }))
  )

  it.effect("of two runs only the one whose start is refused is blind", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const known = yield* openKnown({ name: "known" })
      yield* faults.set({ starts: Fault.fail })
      const refused = yield* open({ name: "refused" })
      yield* TestClock.adjust("31 seconds")
      assert.isFalse(yield* known.watcher.isCancelled)
      assert.isTrue(yield* refused.watcher.isCancelled)
    }).pipe(inLab({ maxBlind: "30 seconds" }))
  )
})

describe("Law 6: A check while the start is still on its way", () => {
  const checking = Effect.fnUntraced(function* (starts: Fault, stopAt: "before" | "after") {
    const faults = yield* StoreFaults
    yield* faults.set({ starts })
    const { run, watcher } = yield* open()
    // Before: nothing has been sent yet. After: the start is under way.
    if (stopAt === "after") yield* settle
    yield* stopElsewhere(run)
    const check = yield* forkNow(watcher.check)
    return { check, faults, watcher }
  })

  for (const stopAt of ["before", "after"] as const) {
    it.effect(`finds a stop that came first, ${stopAt} the start was sent`, () =>
      Effect.gen(function* () {
        const { check } = yield* checking(Fault.slow("1 second"), stopAt)
        yield* TestClock.adjust("999 millis")
        assert.strictEqual(yield* exitOf(check), "running")
        yield* TestClock.adjust("1 millis")
        assert.isTrue(yield* Fiber.join(check))
      }).pipe(inLab({ pollTimeout: "5 seconds" }))
    )
  }

  it.effect("finds a stop that the answer to the start is too old for", () =>
    Effect.gen(function* () {
      const { check } = yield* checking(Fault.late("1 second"), "after")
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* Fiber.join(check))
    }).pipe(inLab({ pollTimeout: "5 seconds" }))
  )

  it.effect("costs no look where the answer to the start is one", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { watcher } = yield* open()
      assert.isFalse(yield* watcher.check)
      const { startRuns, stopRequests } = yield* faults.counts
      assert.deepStrictEqual([startRuns.ended, stopRequests.ended], [1, 0])
    }).pipe(inLab())
  )

  it.effect("is synchronous where it must be, and told what the store knows", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.hang })
      const { run, watcher } = yield* open()
      const check = Effect.runSyncWith(yield* Effect.context())
      assert.isFalse(check(watcher.check))
      yield* stopElsewhere(run)
      assert.isFalse(check(watcher.check))
      yield* faults.heal
      assert.isTrue(yield* watcher.check)
      assert.isTrue(check(watcher.check))
    }).pipe(inLab())
  )

  it.effect("waits no longer than pollTimeout for a start that hangs", () =>
    Effect.gen(function* () {
      const { check } = yield* checking(Fault.hang, "before")
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(yield* exitOf(check), "running")
      yield* TestClock.adjust("1 millis")
      assert.isFalse(yield* Fiber.join(check))
    }).pipe(inLab({ pollTimeout: "5 seconds" }))
  )

  it.effect("finds a stop that came first when the start has failed once", () =>
    Effect.gen(function* () {
      const { check } = yield* checking(Fault.flapping(Fault.fail, Fault.healthy), "after")
      assert.isTrue(yield* Fiber.join(check))
    }).pipe(inLab())
  )

  it.effect("is one more attempt at most while starts fail, and answers when that has failed", () =>
    Effect.gen(function* () {
      const { check, faults, watcher } = yield* checking(Fault.fail, "after")
      assert.isFalse(yield* Fiber.join(check))
      assert.strictEqual((yield* faults.counts).startRuns.ended, 2)
      const checks = Array.from({ length: 10 }, () => watcher.check)
      yield* Effect.all(checks, { concurrency: "unbounded" })
      assert.isAtMost((yield* faults.counts).startRuns.ended, 12)
    }).pipe(inLab())
  )

  it.effect("is as quick for a run that begins while the start of another is failing", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.fail })
      yield* open({ name: "first" })
      // Far into the pauses between attempts.
      yield* TestClock.adjust("10 seconds")
      yield* faults.set({ starts: Fault.hang })
      yield* TestClock.adjust("2 seconds")
      const { run, watcher } = yield* open({ name: "second" })
      yield* stopElsewhere(run)
      const check = yield* forkNow(watcher.check)
      yield* settle
      yield* faults.set({ starts: Fault.healthy })
      // The attempt that hangs is given up, and the next one follows at once.
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(yield* Fiber.join(check))
    }).pipe(inLab({ pollTimeout: "5 seconds" }))
  )

  it.effect("looks at the messages of the turn that the store knows meanwhile", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run, watcher } = yield* openKnown()
      yield* faults.set({ starts: Fault.hang })
      yield* watcher.retarget(MessageId.make("next"))
      yield* stopElsewhere(run)
      assert.isTrue(yield* watcher.check)
    }).pipe(inLab())
  )

  it.effect("is as quick for one of many, of which an attempt tries only some", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.fail })
      const names = Array.from({ length: 12 }, (_, n) => `run-${n}`)
      const runs = yield* Effect.forEach(names, (name) => open({ name }))
      yield* settle
      for (const { watcher } of runs) {
        const check = yield* forkNow(watcher.check)
        yield* settle
        assert.isFalse(yield* exitOf(check))
      }
    }).pipe(inLab({ chunkSize: 1 }))
  )

  it.effect("ends with a stop that is found in another way", () =>
    Effect.gen(function* () {
      const { check, watcher } = yield* checking(Fault.hang, "after")
      yield* watcher.cancel("shutdown")
      assert.isTrue(yield* Fiber.join(check))
    }).pipe(inLab())
  )

  it.effect("takes no longer than pollTimeout in all, be the look as slow as the start", () =>
    Effect.gen(function* () {
      const { check, faults } = yield* checking(Fault.late("3 seconds"), "after")
      yield* faults.set({ reads: Fault.hang })
      yield* TestClock.adjust("5 seconds")
      assert.notStrictEqual(yield* exitOf(check), "running")
    }).pipe(inLab({ pollTimeout: "5 seconds" }))
  )

  it.effect("is over with the run, and leaves nothing", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.slow("2 seconds") })
      const { close, watcher } = yield* open()
      const check = yield* forkNow(watcher.check)
      yield* forkNow(close())
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(yield* Fiber.join(check))
    }).pipe(inLab({ pollTimeout: "5 seconds" }))
  )
})

describe("Law 12: Outages one after the other", () => {
  it.effect("an outage that ended unseen, with its last run, does not mute the next one", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const first = yield* openKnown({ name: "first" })
      yield* faults.set({ reads: Fault.fail })
      yield* TestClock.adjust("3 seconds")
      assert.lengthOf(yield* linesAt("Warn"), 1)
      yield* first.close()
      yield* faults.heal
      yield* TestClock.adjust("1 minute")
      yield* openKnown({ name: "second" })
      yield* faults.set({ reads: Fault.fail })
      yield* TestClock.adjust("3 seconds")
      assert.lengthOf(yield* linesAt("Warn"), 2)
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
      assert.lengthOf(yield* linesAt("Info"), 2)
    }).pipe(inLab())
  )
})

describe("Law 12: Calls that are left behind", () => {
  it.effect("a run that begins while two reads hang is blind, and under maxBlind", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const before = yield* openKnown({ name: "before" })
      yield* faults.set({ reads: Fault.hangUninterruptibly })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* faults.counts).stopRequests.calls, 2)
      const during = yield* openKnown({ name: "during" })
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* blind, 2)
      yield* TestClock.adjust("28 seconds")
      assert.isTrue(yield* before.watcher.isCancelled)
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(yield* during.watcher.isCancelled)
      assert.strictEqual((yield* during.watcher.cancellation).request.reason, "unreachable")
      assert.strictEqual((yield* faults.counts).stopRequests.calls, 2)
      yield* faults.heal
    }).pipe(inLab({ maxBlind: "30 seconds" }))
  )

  it.effect(
    "two listings that nobody waits for any more hold up neither a stop nor the lease",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* MessageRepo
        const { run, watcher } = yield* openKnown()
        yield* faults.set({ findRuns: Fault.hangUninterruptibly })
        for (let n = 0; n < 2; n++) {
          yield* Fiber.interrupt(yield* forkNow(repo.findRuns(RunQuery.cases.Company.make({}))))
        }
        const renewals = (yield* faults.counts).renewLease.calls
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* faults.counts).renewLease.calls, renewals + 6)
        const receipts = yield* repo.requestStop(
          StopTarget.cases.Run.make({ run }),
          StopIntent.make({ reason: "user" })
        )
        assert.deepStrictEqual(
          receipts.map(({ _tag }) => _tag),
          ["Requested"]
        )
        yield* settle
        assert.isTrue(yield* watcher.isCancelled)
        assert.strictEqual((yield* faults.counts).findRuns.calls, 2)
        yield* faults.heal
      }).pipe(inLab())
  )

  it.effect("two stops that hang hold up no look", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* MessageRepo
      const { run, watcher } = yield* openKnown()
      yield* faults.set({ requestStop: Fault.hangUninterruptibly })
      for (let n = 0; n < 2; n++) {
        yield* forkNow(
          repo.requestStop(StopTarget.cases.Run.make({ run }), StopIntent.make({ reason: "user" }))
        )
      }
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* blind, 0)
      yield* stopElsewhere(run)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* watcher.isCancelled)
      yield* faults.heal
    }).pipe(inLab())
  )
})

describe("Law 12: A stop that cannot be understood", () => {
  const stops: Readonly<Record<string, unknown>> = {
    "an unknown reason": { userAbortedAt: 1, reason: "USER" },
    "a time that is not a number": { userAbortedAt: Number.NaN, reason: "user" },
    "no reason": { userAbortedAt: 1 },
    "no content": null
  }

  /** A store in memory that answers this stop for the run of the message `bad`. */
  const answering = (stop: unknown) =>
    Layer.effect(
      MessageStore,
      Effect.map(MessageStore, (store) =>
        MessageStore.of({
          ...store,
          stopRequests: (runs) =>
            Effect.map(store.stopRequests(runs), (look) => ({
              ...look,
              requests: [
                ...runs
                  .filter(({ ref }) => ref.messageId === "bad")
                  .map((run) => ({ run, request: stop as StopRequest })),
                ...look.requests
              ]
            }))
        })
      )
    ).pipe(Layer.provide(MessageStore.layerMemory()))

  for (const [name, stop] of Object.entries(stops)) {
    it.effect(`a stop with ${name} hides no other, kills no check, and is one warning`, () =>
      Effect.gen(function* () {
        const bad = yield* openKnown({ name: "bad" })
        const good = yield* openKnown({ name: "good" })
        const checks = yield* forkNow(
          Effect.all([Effect.exit(bad.watcher.check), Effect.exit(good.watcher.check)])
        )
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(
          yield* exitOf(checks).pipe(
            Effect.map((exits) =>
              Array.isArray(exits) ? exits.map(({ _tag }: { _tag: string }) => _tag) : exits
            )
          ),
          ["Success", "Success"]
        )
        yield* stopElsewhere(good.run)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* good.watcher.isCancelled)
        assert.isFalse(yield* bad.watcher.isCancelled)
        assert.strictEqual(yield* blind, 1)
        assert.lengthOf(yield* linesAt("Warn"), 1)
        yield* bad.close()
        assert.strictEqual((yield* recordOf(bad.run))?.outcome, "completed")
        assert.strictEqual(yield* blind, 0)
      }).pipe(inLab({}, answering(stop)))
    )
  }

  it.effect("a stop that is a plain object is a stop like any other", () =>
    Effect.gen(function* () {
      const { watcher } = yield* openKnown({ name: "bad" })
      assert.isTrue(yield* watcher.check)
      assert.strictEqual((yield* watcher.cancellation).request.userAbortedAt, 1)
    }).pipe(inLab({}, answering({ userAbortedAt: 1, reason: "user" })))
  )
})
