import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  ChatId,
  MessageRepo,
  MessageStore,
  Run,
  RunId,
  StopIntent,
  StopTarget
} from "../src/index.ts"
import {
  collect,
  exitOf,
  forkNow,
  inLab,
  linesAt,
  looks,
  makeWork,
  open,
  openKnown,
  recordOf,
  refOf,
  register,
  settle,
  stopElsewhere,
  ways,
  wayNames
} from "./fixture-1.ts"

describe("Law 5: One step of detection", () => {
  for (const way of wayNames) {
    it.effect(`found by ${way}: flag, handlers taken, waiters, event, signal, handlers`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const { watcher } = opened
        const order: Array<string> = []
        const note = (what: string) =>
          Effect.map(watcher.isCancelled, (flag) => {
            order.push(flag ? what : `${what} before the flag`)
          })
        const signal = yield* watcher.abortSignal
        signal.addEventListener("abort", () => order.push("signal"), { once: true })
        yield* register(watcher, () => note("handler"))
        yield* forkNow(Stream.runForEach(watcher.events, () => note("event")))
        yield* forkNow(
          Effect.andThen(
            watcher.cancellation,
            Effect.andThen(
              note("waiter"),
              register(watcher, () => note("late handler"))
            )
          )
        )
        yield* ways[way](opened)
        assert.deepStrictEqual(order.toSorted(), [
          "event",
          "handler",
          "late handler",
          "signal",
          "waiter"
        ])
        assert.isBelow(order.indexOf("waiter"), order.indexOf("signal"))
        assert.isBelow(order.indexOf("signal"), order.indexOf("handler"))
      }).pipe(inLab())
    )

    for (const handlerTimeout of [0, 5000]) {
      it.effect(
        `a handler registered inside work stopped by ${way} runs, with a handlerTimeout of ${handlerTimeout}`,
        () =>
          Effect.gen(function* () {
            const opened = yield* openKnown({ handlerTimeout })
            const { watcher } = opened
            let handled = 0
            const worker = yield* forkNow(
              watcher
                .onCancellation(() => Effect.sync(() => handled++))
                .pipe(
                  Effect.andThen(Effect.never),
                  Effect.scoped,
                  watcher.runWithCancellation({ cancelResult: "cancelled" })
                )
            )
            yield* ways[way](opened)
            yield* TestClock.adjust("10 seconds")
            assert.strictEqual(yield* exitOf(worker), "cancelled")
            assert.strictEqual(handled, 1)
          }).pipe(inLab())
      )
    }
  }

  it.effect("work interrupted by its own check does not cut the step short", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      const { seen } = yield* collect(watcher)
      const signal = yield* watcher.abortSignal
      let handled = 0
      yield* register(watcher, () => Effect.sync(() => handled++))
      yield* stopElsewhere(run)
      // Suspended once, the work is up against the race: the interrupt comes from within the step.
      const worker = yield* forkNow(
        Effect.sleep("1 second").pipe(
          Effect.andThen(watcher.check),
          Effect.andThen(Effect.never),
          watcher.runWithCancellation({ cancelResult: "cancelled" })
        )
      )
      yield* TestClock.adjust("1 second")
      const result = yield* exitOf(worker)
      assert.strictEqual(result, "cancelled")
      assert.deepStrictEqual([seen.length, handled, signal.aborted], [1, 1, true])
    }).pipe(inLab())
  )

  it.effect("the check that detects waits for the handlers, later checks answer at once", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      yield* register(watcher, () => Effect.sleep("3 seconds"))
      yield* stopElsewhere(run)
      const first = yield* forkNow(watcher.check)
      const later = yield* forkNow(watcher.check)
      assert.deepStrictEqual([yield* exitOf(first), yield* exitOf(later)], ["running", true])
      yield* TestClock.adjust("2999 millis")
      assert.strictEqual(yield* exitOf(first), "running")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* exitOf(first), true)
    }).pipe(inLab())
  )

  it.effect("the check that detects waits for handlers at most handlerTimeout", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown({ handlerTimeout: "1 second" })
      yield* register(watcher, () => Effect.never)
      yield* stopElsewhere(run)
      const check = yield* forkNow(watcher.check)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* exitOf(check), "running")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* exitOf(check), true)
    }).pipe(inLab())
  )

  it.effect("a check that detects without handlers does not wait at all", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      yield* stopElsewhere(run)
      assert.isTrue(Effect.runSyncWith(yield* Effect.context())(watcher.check))
    }).pipe(inLab())
  )

  for (const closes of ["the handler's scope", "the run"] as const) {
    it.effect(`closing ${closes} waits for a handler that runs`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        let done = false
        const { unregister } = yield* register(opened.watcher, () =>
          Effect.andThen(
            Effect.sleep("3 seconds"),
            Effect.sync(() => {
              done = true
            })
          )
        )
        yield* ways.poll(opened)
        const closing = yield* forkNow(closes === "the run" ? opened.close() : unregister)
        yield* TestClock.adjust("2999 millis")
        assert.strictEqual(yield* exitOf(closing), "running")
        assert.strictEqual((yield* recordOf(opened.run))?.outcome, undefined)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* exitOf(closing), undefined)
        assert.isTrue(done)
      }).pipe(inLab())
    )

    it.effect(`closing ${closes} waits for a handler at most handlerTimeout, then ends it`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown({ handlerTimeout: "1 second" })
        let interrupted = false
        const { unregister } = yield* register(opened.watcher, () =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.sync(() => {
              interrupted = true
            })
          )
        )
        yield* ways.poll(opened)
        const closing = yield* forkNow(closes === "the run" ? opened.close() : unregister)
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual([yield* exitOf(closing), interrupted], ["running", false])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual([yield* exitOf(closing), interrupted], [undefined, true])
        const [line] = yield* linesAt("Warn")
        assert.include(line?.text, "longer than handlerTimeout")
      }).pipe(inLab())
    )
  }

  it.effect("a handler whose scope closed before the stop never runs", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      let handled = 0
      const { unregister } = yield* register(opened.watcher, () => Effect.sync(() => handled++))
      yield* unregister
      yield* ways.poll(opened)
      assert.strictEqual(handled, 0)
    }).pipe(inLab())
  )

  const spoilt: Record<string, () => Effect.Effect<void, string>> = {
    fails: () => Effect.fail("it went wrong"),
    dies: () => Effect.die(new Error("it went wrong")),
    throws: () => {
      throw new Error("it went wrong")
    }
  }
  for (const [kind, handler] of Object.entries(spoilt)) {
    it.effect(`a handler that ${kind} is logged and spoils nothing`, () =>
      Effect.gen(function* () {
        const { run, watcher } = yield* openKnown()
        let handled = 0
        yield* register(watcher, handler)
        yield* register(watcher, () => Effect.sync(() => handled++))
        const { seen } = yield* collect(watcher)
        yield* stopElsewhere(run)
        assert.isTrue(yield* watcher.check)
        assert.deepStrictEqual([handled, seen.length], [1, 1])
        const lines = yield* linesAt("Warn")
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0]?.text, "it went wrong")
      }).pipe(inLab())
    )
  }

  it.effect("a handler is given the event, and has the services of where it was registered", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      class Name extends Context.Service<Name, string>()("effect-cancellation/test/Name") {}
      const heard: Array<unknown> = []
      yield* register(opened.watcher, (event) =>
        Name.useSync((name) => heard.push(name, event))
      ).pipe(Effect.provideService(Name, "here"))
      yield* ways.hint(opened)
      const event = yield* opened.watcher.cancellation
      assert.deepStrictEqual(heard, ["here", event])
      assert.deepStrictEqual([event.run, event.detectedBy], [opened.run, "hint"])
    }).pipe(inLab())
  )
})

describe("Law 6: Already cancelled", () => {
  it.effect(
    "runWithCancellation does not start the work, and streamWithCancellation opens nothing",
    () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const { watcher } = opened
        yield* ways.poll(opened)
        const { state, work } = yield* makeWork
        assert.strictEqual(yield* watcher.runWithCancellation(work, { cancelResult: 1 }), 1)
        assert.isTrue(Option.isNone(yield* watcher.runWithCancellation(work)))
        assert.strictEqual(
          yield* watcher.runWithCancellation(work, {
            onCancelled: ({ request }) => Effect.succeed(request.reason)
          }),
          "user"
        )
        assert.strictEqual(
          yield* watcher.runWithCancellation(work, { cancelResult: 2, gracePeriod: 0 }),
          2
        )
        const source = Stream.unwrap(
          Effect.as(
            Effect.sync(() => state.started++),
            Stream.make(1)
          )
        )
        assert.deepStrictEqual(yield* Stream.runCollect(watcher.streamWithCancellation(source)), [])
        assert.strictEqual(state.started, 0)
      }).pipe(inLab())
  )

  it.effect("no looks are wanted for what runs when the run is cancelled", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* openKnown({ name: "other" })
      yield* ways.poll(opened)
      const before = yield* looks
      const { work } = yield* makeWork
      yield* forkNow(
        opened.watcher.runWithCancellation(work, {
          onCancelled: () => Effect.never,
          pollInterval: "1 millis"
        })
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* looks, before)
    }).pipe(inLab())
  )

  it.effect("a stream made before the stop and read after it opens nothing", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      let opens = 0
      const stream = Stream.unwrap(
        Effect.sync(() => {
          opens++
          return Stream.make(1)
        })
      ).pipe(opened.watcher.streamWithCancellation())
      yield* ways.poll(opened)
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [])
      assert.strictEqual(opens, 0)
    }).pipe(inLab())
  )

  const runId = RunId.make("message-run")
  const targets: Record<string, StopTarget> = {
    "its chat": StopTarget.cases.Chat.make({ chatId: ChatId.make("chat") }),
    "its message": StopTarget.cases.Message.make({ ref: refOf("message") }),
    "the run": StopTarget.cases.Run.make({ run: Run.make({ ref: refOf("message"), runId }) })
  }
  for (const [what, target] of Object.entries(targets)) {
    it.effect(`a stop of ${what} from before the run began is found by its first look`, () =>
      Effect.gen(function* () {
        const repo = yield* MessageRepo
        yield* repo.requestStop(target, StopIntent.make({ reason: "user" }))
        const { watcher } = yield* openKnown()
        assert.strictEqual((yield* watcher.cancellation).detectedBy, "start")
        assert.strictEqual(yield* looks, 0)
      }).pipe(inLab())
    )
  }

  it.effect(
    "a run that is delivered again finds the stop of the first delivery at its first look",
    () =>
      Effect.gen(function* () {
        const { close, run } = yield* openKnown()
        yield* stopElsewhere(run)
        yield* close()
        const again = yield* openKnown()
        assert.strictEqual((yield* again.watcher.cancellation).detectedBy, "start")
      }).pipe(inLab())
  )

  it.effect("a store that only has a flag is asked at once for a run that begins", () =>
    Effect.gen(function* () {
      const { watcher } = yield* open()
      yield* settle
      assert.strictEqual((yield* watcher.cancellation).detectedBy, "start")
      assert.strictEqual(yield* looks, 1)
    }).pipe(
      inLab(
        {},
        MessageStore.fromLookup((refs) =>
          Effect.succeed(refs.map((ref) => ({ ref, userAbortedAt: 1 })))
        )
      )
    )
  )

  const openMany = (count: number) =>
    Effect.forEach(Array.from({ length: count }), (_, n) => open({ name: `message-${n}` }))

  const flags = MessageStore.fromLookup((refs) => Effect.succeed(refs.map((ref) => ({ ref }))))
  for (const [kind, store, operation] of [
    ["that knows runs", MessageStore.layerMemory(), "startRuns"],
    ["that only has a flag", flags, "stopRequests"]
  ] as const) {
    it.effect(`the first looks of runs that start together at a store ${kind} share a query`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* openMany(10)
        yield* faults.ended(operation, 1)
        yield* settle
        const { startRuns, stopRequests } = yield* faults.counts
        assert.deepStrictEqual([...startRuns.rows, ...stopRequests.rows], [10])
      }).pipe(inLab({}, store))
    )

    it.effect(`those that start while a store ${kind} is asked share the next query`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* faults.set({ [operation]: Fault.slow("50 millis") })
        yield* openMany(1)
        yield* faults.begun(operation, 1)
        yield* openMany(500)
        yield* TestClock.adjust("200 millis")
        const { startRuns, stopRequests } = yield* faults.counts
        assert.deepStrictEqual([...startRuns.rows, ...stopRequests.rows], [1, 500])
      }).pipe(inLab({}, store))
    )
  }

  for (const [kind, store] of Object.entries({
    "that knows runs": MessageStore.layerMemory(),
    "that only has a flag": MessageStore.fromLookup(() => Effect.succeed([]))
  })) {
    it.effect(`a run that ends before its look costs a store ${kind} nothing`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const { close } = yield* open()
        yield* close()
        yield* TestClock.adjust("1 minute")
        const counts = Object.values(yield* faults.counts)
        assert.deepStrictEqual(
          counts.map(({ calls }) => calls),
          counts.map(() => 0)
        )
      }).pipe(inLab({}, store))
    )
  }

  for (const fault of ["fail", "die", "hang", "hangUninterruptibly"] as const) {
    it.effect(`the work starts at once on a store with the fault ${fault}`, () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* faults.set({ all: Fault[fault] })
        const { watcher } = yield* open()
        assert.strictEqual(
          yield* watcher.runWithCancellation(Effect.succeed("done"), { cancelResult: "cancelled" }),
          "done"
        )
      }).pipe(inLab())
    )
  }
})
