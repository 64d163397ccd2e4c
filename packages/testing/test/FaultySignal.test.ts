import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  ChatId,
  MessageId,
  MessageRef,
  Run,
  RunId,
  StopHint,
  StopSignal
} from "effect-cancellation"
import { SignalFault, SignalFaults } from "../src/index.ts"

const runOf = (name: string) =>
  Run.make({
    ref: MessageRef.make({ chatId: ChatId.make("chat"), messageId: MessageId.make(name) }),
    runId: RunId.make(name)
  })
const names = ["a", "b", "c", "d", "e", "f", "g", "h"]

const provided = Effect.provide(SignalFaults.layer())

/** Reads hints in a fiber until the stream ends. */
const listening = Effect.gen(function* () {
  const { hints } = yield* StopSignal
  return yield* Effect.forkChild(
    Stream.runCollect(
      Stream.map(hints, (hint) => (hint._tag === "Hint" ? hint.run.runId : hint._tag))
    ),
    { startImmediately: true }
  )
})

const publishAll = Effect.gen(function* () {
  const { publish } = yield* StopSignal
  for (const name of names) yield* publish(runOf(name))
  // the pump of a subscriber runs in a fiber of its own
  yield* TestClock.adjust(0)
})

const heardUnder = (hints: ReturnType<typeof SignalFault.delayed>) =>
  Effect.gen(function* () {
    const faults = yield* SignalFaults
    yield* faults.set({ hints })
    const fiber = yield* listening
    yield* publishAll
    yield* faults.disconnect
    return yield* Fiber.join(fiber)
  }).pipe(provided)

describe("SignalFaults", () => {
  it.effect("is the signal below while it is healthy, for every subscriber", () =>
    Effect.gen(function* () {
      const faults = yield* SignalFaults
      const first = yield* listening
      const second = yield* listening
      yield* faults.begun("subscribe", 2)
      yield* publishAll
      yield* faults.disconnect
      assert.deepStrictEqual(yield* Fiber.join(first), names)
      assert.deepStrictEqual(yield* Fiber.join(second), names)
      yield* faults.ended("subscribe", 2)
      const { publish, subscribe } = yield* faults.counts
      assert.deepStrictEqual([publish.calls, publish.ended], [names.length, names.length])
      assert.deepStrictEqual([subscribe.maxInFlight, subscribe.inFlight], [2, 0])
    }).pipe(provided)
  )

  it.effect("loses every hint, or some, the same ones for the same seed", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* heardUnder(SignalFault.drop), [])
      const some = yield* heardUnder(SignalFault.lossy(0.5, 7))
      assert.isAbove(some.length, 0)
      assert.isBelow(some.length, names.length)
      assert.deepStrictEqual(yield* heardUnder(SignalFault.lossy(0.5, 7)), some)
      assert.notDeepEqual(yield* heardUnder(SignalFault.lossy(0.5, 8)), some)
    })
  )

  it.effect("doubles every hint", () =>
    Effect.gen(function* () {
      const heard = yield* heardUnder(SignalFault.doubling)
      assert.deepStrictEqual(
        heard,
        names.flatMap((name) => [name, name])
      )
    })
  )

  it.effect("delays every hint", () =>
    Effect.gen(function* () {
      const faults = yield* SignalFaults
      yield* faults.set({ hints: SignalFault.delayed("2 seconds") })
      const { hints } = yield* StopSignal
      const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(hints, names.length)), {
        startImmediately: true
      })
      yield* publishAll
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(yield* Fiber.join(fiber), names.length)
    }).pipe(provided)
  )

  it.effect("gives hints by hand, past its faults, and says it has reconnected", () =>
    Effect.gen(function* () {
      const faults = yield* SignalFaults
      yield* faults.set({ hints: SignalFault.drop })
      const fiber = yield* listening
      yield* faults.emit(StopHint.cases.Hint.make({ run: runOf("false") }))
      yield* faults.reconnected
      yield* faults.disconnect
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["false", "Reconnected"])
    }).pipe(provided)
  )

  it.effect("crashes the streams of now, and ends those of later while it is down", () =>
    Effect.gen(function* () {
      const faults = yield* SignalFaults
      const before = yield* listening
      yield* faults.crash
      assert.isTrue(Exit.hasDies(yield* Fiber.await(before)))
      yield* faults.set({ hints: SignalFault.down })
      assert.deepStrictEqual(yield* Fiber.join(yield* listening), [])
      yield* faults.heal
      const after = yield* listening
      yield* publishAll
      yield* faults.disconnect
      assert.deepStrictEqual(yield* Fiber.join(after), names)
    }).pipe(provided)
  )

  it.effect("fails, dies or hangs when it publishes", () =>
    Effect.gen(function* () {
      const faults = yield* SignalFaults
      const { publish } = yield* StopSignal
      const fiber = yield* listening
      yield* faults.set({ publish: SignalFault.fail })
      assert.strictEqual((yield* Effect.flip(publish(runOf("a"))))._tag, "StopSignalError")
      yield* faults.set({ publish: SignalFault.die })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(publish(runOf("b")))))
      yield* faults.set({ publish: SignalFault.hang })
      const interrupted = yield* Effect.forkChild(publish(runOf("c")))
      const released = yield* Effect.forkChild(publish(runOf("d")))
      yield* faults.begun("publish", 4)
      yield* Fiber.interrupt(interrupted)
      yield* faults.release
      yield* Fiber.join(released)
      yield* TestClock.adjust(0)
      yield* faults.disconnect
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["d"])
    }).pipe(provided)
  )
})
