/** Law 25, where this process itself erases what runs. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Fault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationWatcher,
  ChatId,
  ForgetQuery,
  MessageId,
  MessageRef,
  MessageRepo,
  MessageStore,
  Run,
  RunId,
  unavailable,
  UserId
} from "../src/index.ts"
import {
  exitOf,
  forkNow,
  inLab,
  linesAt,
  looks,
  open,
  openKnown,
  recordOf,
  settle
} from "./fixture-1.ts"

const chat = ForgetQuery.cases.Chat.make({ chatId: ChatId.make("chat") })
const user = ForgetQuery.cases.User.make({ userId: UserId.make("ann") })

const forget = (query: ForgetQuery) => MessageRepo.use((repo) => repo.forget(query))

const openOf = (ids: Parameters<typeof MessageRef.of>[0]) =>
  openKnown({ ref: MessageRef.of(ids), runId: RunId.make("run") })

const reasonOf = ({ watcher }: Effect.Success<ReturnType<typeof open>>) =>
  Effect.flatMap(watcher.isCancelled, (isCancelled) =>
    isCancelled
      ? Effect.map(watcher.cancellation, ({ request }) => request.reason as string)
      : Effect.succeed("runs")
  )

/** A store in memory whose starts take a second, and of which no answer comes back. */
const slowAndSilent = Layer.effect(
  MessageStore,
  Effect.map(MessageStore, (store) =>
    MessageStore.of({
      ...store,
      startRuns: (runs, lease) =>
        Effect.sleep("1 second").pipe(
          Effect.andThen(store.startRuns(runs, lease)),
          Effect.andThen(Effect.fail(unavailable("startRuns", "the connection broke")))
        )
    })
  )
).pipe(Layer.provide(MessageStore.layerMemory()))

/** Another process on the store and the signal of the lab. */
const otherRepo = Effect.flatMap(MessageStore, (store) =>
  Effect.map(
    Layer.build(
      Layer.fresh(MessageRepo.layer()).pipe(Layer.provide(Layer.succeed(MessageStore, store)))
    ),
    Context.get(MessageRepo)
  )
)

describe("Law 25: Erased in this process", () => {
  it.effect("what runs in the chat is cancelled at once, without a look", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown({ pollInterval: "1 hour" })
      const work = yield* forkNow(
        opened.watcher.runWithCancellation(Effect.never, { cancelResult: "deleted" })
      )
      const before = yield* looks
      assert.strictEqual(yield* forget(chat), 1)
      yield* settle
      assert.strictEqual(yield* exitOf(work), "deleted")
      const event = yield* opened.watcher.cancellation
      assert.deepStrictEqual(
        [event.request.reason, event.detectedBy, event.run],
        ["deleted", "local", opened.run]
      )
      assert.strictEqual(yield* looks, before)
    }).pipe(inLab())
  )

  it.effect("what runs for the user is cancelled, whatever the chat, and nobody else's", () =>
    Effect.gen(function* () {
      const hers = yield* Effect.forEach(["1", "2"], (chatId) =>
        openOf({ userId: "ann", chatId, messageId: "a" })
      )
      const others = yield* Effect.forEach(
        [{ userId: "bob" }, {}, { userId: "ann", companyId: "acme" }],
        (ids) => openOf({ ...ids, chatId: "1", messageId: "a" })
      )
      assert.strictEqual(yield* forget(user), 2)
      assert.deepStrictEqual(yield* Effect.forEach(hers, reasonOf), ["deleted", "deleted"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Effect.forEach(others, reasonOf), ["runs", "runs", "runs"])
    }).pipe(inLab())
  )

  it.effect("another chat, and the chat of another company, run on", () =>
    Effect.gen(function* () {
      const others = yield* Effect.forEach(
        [{ chatId: "other" }, { chatId: "chat", companyId: "acme" }],
        (ids) => openOf({ ...ids, messageId: "a" })
      )
      assert.strictEqual(yield* forget(chat), 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Effect.forEach(others, reasonOf), ["runs", "runs"])
    }).pipe(inLab())
  )

  it.effect("what has ended before a time cancels nothing that runs", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* forget(ForgetQuery.cases.EndedBefore.make({ time: 1e15 }))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reasonOf(opened), "runs")
      assert.isDefined(yield* recordOf(opened.run))
    }).pipe(inLab())
  )

  it.effect("an erasure that failed cancels nothing by itself", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const opened = yield* openKnown()
      yield* faults.set({ forget: Fault.fail })
      yield* Effect.flip(forget(chat))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reasonOf(opened), "runs")
    }).pipe(inLab())
  )

  it.effect("one whose answer was lost is found by two looks", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const opened = yield* openKnown()
      yield* faults.set({ forget: Fault.loseAnswer })
      yield* Effect.flip(forget(chat))
      assert.strictEqual(yield* reasonOf(opened), "runs")
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* reasonOf(opened), "deleted")
    }).pipe(inLab())
  )

  it.effect("whoever asked may be gone by then", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const opened = yield* openKnown({ pollInterval: "1 hour" })
      yield* faults.set({ forget: Fault.late("1 second") })
      const asking = yield* forkNow(forget(chat))
      yield* forkNow(Fiber.interrupt(asking))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* reasonOf(opened), "deleted")
    }).pipe(inLab())
  )

  it.effect("a run whose start is still on its way is cancelled, and never stored", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.fail })
      const opened = yield* open()
      yield* TestClock.adjust("1 second")
      yield* forget(chat)
      assert.strictEqual(yield* reasonOf(opened), "deleted")
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(yield* recordOf(opened.run))
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* recordOf(opened.run))
      assert.deepStrictEqual(yield* linesAt("Error"), [])
    }).pipe(inLab())
  )

  it.effect("a run that ended before its start was stored is never stored either", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.fail })
      const opened = yield* open()
      yield* TestClock.adjust("1 second")
      yield* forkNow(opened.close())
      yield* forget(chat)
      yield* faults.heal
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* recordOf(opened.run))
      assert.deepStrictEqual(yield* linesAt("Error"), [])
    }).pipe(inLab())
  )

  it.effect("the last write of a run is dropped with it, and not called given up", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close } = yield* openKnown({ name: "a" })
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* close()
      yield* forget(chat)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* linesAt("Error"), [])
    }).pipe(inLab())
  )

  it.effect("a start that arrives behind the erasure has its end written", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.slow("1 second") })
      const opened = yield* open()
      yield* settle
      yield* forget(chat)
      const closing = yield* forkNow(opened.close())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.isDefined((yield* recordOf(opened.run))?.outcome)
    }).pipe(inLab())
  )

  it.effect("a start that arrived behind it, before its answer did, has its end written", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.slow("500 millis"), forget: Fault.late("1 second") })
      const opened = yield* open()
      yield* settle
      yield* forkNow(forget(chat))
      yield* TestClock.adjust("1200 millis")
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      assert.isDefined((yield* recordOf(opened.run))?.outcome)
    }).pipe(inLab())
  )

  it.effect("a run that begins while its answer is on the way is a new one", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ forget: Fault.late("1 second") })
      yield* forkNow(forget(chat))
      const opened = yield* open()
      yield* TestClock.adjust("1200 millis")
      assert.strictEqual(yield* reasonOf(opened), "runs")
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(opened.run))?.outcome, "completed")
    }).pipe(inLab())
  )

  it.effect("one that begins before the deletion is found by two looks", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ forget: Fault.slow("1 second") })
      yield* forkNow(forget(chat))
      const opened = yield* open()
      yield* TestClock.adjust("1200 millis")
      assert.isUndefined(yield* recordOf(opened.run))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* reasonOf(opened), "deleted")
    }).pipe(inLab())
  )

  it.effect("a start stored behind it, whose answer is lost, has its end written", () =>
    Effect.gen(function* () {
      const opened = yield* open()
      yield* settle
      yield* forget(chat)
      assert.strictEqual(yield* reasonOf(opened), "deleted")
      yield* TestClock.adjust("2 seconds")
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      assert.isDefined((yield* recordOf(opened.run))?.outcome)
      assert.deepStrictEqual(yield* linesAt("Error"), [])
    }).pipe(inLab({}, slowAndSilent))
  )

  it.effect("such an end is tried once, and nobody waits for it or is told", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.loseAnswer, advanceRuns: Fault.fail })
      const opened = yield* open()
      yield* TestClock.adjust("1 second")
      yield* forget(chat)
      const { startRuns } = yield* faults.counts
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      const counts = yield* faults.counts
      assert.strictEqual(counts.advanceRuns.calls, 1)
      assert.strictEqual(counts.startRuns.calls, startRuns.calls)
      assert.deepStrictEqual(yield* linesAt("Error"), [])
    }).pipe(inLab())
  )

  it.effect("the event names the segment that was erased", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      yield* opened.watcher.retarget(MessageId.make("next"))
      yield* TestClock.adjust("1 second")
      yield* forget(chat)
      assert.strictEqual((yield* opened.watcher.cancellation).run.ref.messageId, "message")
      yield* opened.close()
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* recordOf(opened.run))
    }).pipe(inLab())
  )

  it.effect("a run that begins after it is a new one", () =>
    Effect.gen(function* () {
      yield* forget(chat)
      const opened = yield* openKnown()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reasonOf(opened), "runs")
    }).pipe(inLab())
  )
})

describe("Law 25: Erased in another process", () => {
  const openThere = Effect.gen(function* () {
    const repo = yield* otherRepo
    const layer = CancellationWatcher.layer({
      ref: MessageRef.of({ chatId: "chat", messageId: "there" }),
      pollInterval: "1 hour"
    })
    const context = yield* Layer.build(Layer.fresh(layer)).pipe(
      Effect.provideService(MessageRepo, repo)
    )
    yield* TestClock.adjust("1 second")
    return Context.get(context, CancellationWatcher)
  })

  it.effect("a signal makes it look at once, twice, and cancel", () =>
    Effect.gen(function* () {
      const watcher = yield* openThere
      const before = yield* Clock.currentTimeMillis
      yield* forget(chat)
      yield* settle
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("100 millis")
      const { detectedAt, request } = yield* watcher.cancellation
      assert.deepStrictEqual([request.reason, detectedAt], ["deleted", before + 100])
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("a run of this process is told of no hint", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      yield* openKnown()
      yield* openThere
      const before = (yield* signal.counts).publish.calls
      assert.strictEqual(yield* forget(chat), 2)
      assert.strictEqual((yield* signal.counts).publish.calls, before + 1)
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("many are told sixteen at a time, and whoever asked waits a second at most", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      const { store } = yield* StoreFaults
      yield* store.startRuns(
        Array.from({ length: 100 }, (_, index) =>
          Run.make({
            ref: MessageRef.of({ chatId: "chat", messageId: `m${index}` }),
            runId: RunId.make("run")
          })
        )
      )
      yield* signal.set({ publish: { _tag: "Hang" } })
      const asking = yield* forkNow(forget(chat))
      assert.strictEqual((yield* signal.counts).publish.calls, 16)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* exitOf(asking), 100)
      yield* signal.heal
      yield* settle
      yield* settle
      assert.strictEqual((yield* signal.counts).publish.calls, 100)
    }).pipe(inLab())
  )

  it.effect("without a signal its polls find it", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      yield* signal.set({ publish: { _tag: "Fail" } })
      const watcher = yield* openThere
      yield* forget(chat)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual((yield* watcher.cancellation).request.reason, "deleted")
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("what cannot be listed is erased all the same", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const opened = yield* openKnown()
      yield* faults.set({ findRuns: Fault.fail })
      assert.strictEqual(yield* forget(chat), 1)
      assert.strictEqual(yield* reasonOf(opened), "deleted")
    }).pipe(inLab())
  )
})
