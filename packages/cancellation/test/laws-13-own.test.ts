/** Law 13, for the look that a hint has of its own, and a signal that throws. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Fault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import { MessageRepo, StopHint, StopSignal } from "../src/index.ts"
import {
  forkNow,
  hintOf,
  inLab,
  looks,
  open,
  openKnown,
  settle,
  stopElsewhere
} from "./fixture-1.ts"

describe("Law 13: Hints", () => {
  it.effect("a signal that throws at once is a hint that was not published", () =>
    Effect.gen(function* () {
      const publish = () => {
        throw new Error("not connected")
      }
      const repo = yield* repoOn(StopSignal.of({ publish, hints: Stream.never }))
      const { run, watcher } = yield* Effect.provideService(openKnown(), MessageRepo, repo)
      const exit = yield* Effect.exit(repo.requestStop(run))
      yield* settle
      assert.isTrue(Exit.isSuccess(exit))
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(Effect.scoped, inLab())
  )

  for (const isBusy of [false, true]) {
    it.effect(
      `looks again 500 ms after its own look${isBusy ? ", behind another one too" : ""}`,
      () =>
        Effect.gen(function* () {
          const faults = yield* StoreFaults
          const { run, watcher } = yield* openKnown({ pollInterval: "1 minute" })
          yield* faults.set({ stopRequests: Fault.late("300 millis") })
          if (isBusy) {
            yield* SignalFaults.use((signal) => signal.emit(StopHint.cases.Reconnected.make({})))
            yield* settle
            yield* TestClock.adjust("100 millis")
          }
          yield* hintOf(run)
          // Its own look ends 300 ms after it, or 500 ms if another one is under way.
          yield* TestClock.adjust(isBusy ? "950 millis" : "750 millis")
          yield* stopElsewhere(run)
          yield* TestClock.adjust("1 second")
          assert.isTrue(yield* watcher.isCancelled)
        }).pipe(inLab())
    )
  }

  it.effect("that come while a look is under way have looks of their own behind their own", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run, watcher } = yield* openKnown({ pollInterval: "1 minute" })
      yield* faults.set({ stopRequests: Fault.late("50 millis") })
      yield* hintOf(run)
      yield* TestClock.adjust("25 millis")
      yield* hintOf(run)
      // The second one's look ends at 100 ms, so its last one begins at 600 ms.
      yield* TestClock.adjust("545 millis")
      yield* stopElsewhere(run)
      yield* TestClock.adjust("150 millis")
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(inLab())
  )

  it.effect("that a signal brings one by one share their looks", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const hub = yield* PubSub.unbounded<StopHint>()
      // As whoever decodes a stream of messages does.
      const hints = Stream.mapEffect(Stream.fromPubSub(hub), (hint) => Effect.succeed(hint))
      const repo = yield* repoOn(StopSignal.of({ publish: () => Effect.void, hints }))
      const runs = yield* Effect.forEach(Array.from({ length: 100 }), (_, index) =>
        Effect.provideService(
          open({ name: `message-${index}`, pollInterval: "1 hour" }),
          MessageRepo,
          repo
        )
      )
      yield* TestClock.adjust("1 second")
      yield* faults.set({ stopRequests: Fault.late("10 millis") })
      for (const { run } of runs) yield* stopElsewhere(run)
      const before = yield* looks
      yield* PubSub.publishAll(
        hub,
        runs.map(({ run }) => StopHint.cases.Hint.make({ run }))
      )
      yield* settle
      yield* TestClock.adjust("30 millis")
      for (const { watcher } of runs) assert.isTrue(yield* watcher.isCancelled)
      assert.isAtMost((yield* looks) - before, 4)
    }).pipe(Effect.scoped, inLab())
  )

  it.effect("that come while everything is looked at, after a signal ended, are heard", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run, watcher } = yield* openKnown({ pollInterval: "1 hour" })
      yield* faults.set({ stopRequests: Fault.late("1 second") })
      yield* SignalFaults.use((signal) => signal.disconnect)
      yield* settle
      yield* TestClock.adjust("500 millis")
      yield* faults.set({ stopRequests: Fault.healthy })
      yield* stopElsewhere(run)
      yield* hintOf(run)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(inLab())
  )

  it.effect("from elsewhere do not wait until nobody hints here", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* MessageRepo
      const { run, watcher } = yield* openKnown({ name: "elsewhere", pollInterval: "1 hour" })
      const here = yield* Effect.forEach(Array.from({ length: 8 }), (_, index) =>
        openKnown({ name: `here-${index}`, pollInterval: "1 hour" })
      )
      yield* faults.set({ stopRequests: Fault.late("300 millis") })
      for (const [index, one] of here.entries()) {
        // The first one's makes the listener look.
        if (index === 0) yield* hintOf(one.run)
        else yield* forkNow(repo.requestStop(one.run))
        if (index === 3) {
          yield* stopElsewhere(run)
          yield* hintOf(run)
        }
        yield* TestClock.adjust("250 millis")
      }
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(inLab())
  )
})

const repoOn = (signal: (typeof StopSignal)["Service"]) =>
  Effect.map(
    Layer.build(
      Layer.fresh(MessageRepo.layer()).pipe(Layer.provide(Layer.succeed(StopSignal, signal)))
    ),
    Context.get(MessageRepo)
  )
