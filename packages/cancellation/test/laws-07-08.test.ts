import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  exitOf,
  forkNow,
  inLab,
  makeWork,
  openKnown,
  settle,
  stopElsewhere,
  ways
} from "./fixture-1.ts"

const cancelResult = "cancelled" as const

/** Ways in which work ends at the moment of a stop; the flag is set before, in the same step. */
const ends: Record<string, Effect.Effect<string, string>> = {
  succeeds: Effect.succeed("done"),
  fails: Effect.fail("no"),
  dies: Effect.die("no"),
  "interrupts itself": Effect.interrupt,
  "interrupts its own fiber": Effect.withFiber((fiber) => {
    fiber.interruptUnsafe()
    return Effect.succeed("done")
  })
}

describe("Law 7: One winner", () => {
  for (const gracePeriod of [undefined, "1 second"] as const) {
    const form = gracePeriod === undefined ? "" : " (with a grace period)"

    for (const [kind, end] of Object.entries(ends)) {
      it.effect(
        `work that detects by its own check and then ${kind} gives the cancel result${form}`,
        () =>
          Effect.gen(function* () {
            const { run, watcher } = yield* openKnown()
            yield* stopElsewhere(run)
            const result = yield* watcher.runWithCancellation(Effect.andThen(watcher.check, end), {
              cancelResult,
              gracePeriod
            })
            assert.strictEqual(result, cancelResult)
          }).pipe(inLab())
      )

      it.effect(`work that ${kind} because of the stop gives the cancel result${form}`, () =>
        Effect.gen(function* () {
          const opened = yield* openKnown()
          const { watcher } = opened
          // Waits for the cancellation like the race does, and was there first: it ends first.
          const worker = yield* forkNow(
            Effect.andThen(watcher.cancellation, end).pipe(
              watcher.runWithCancellation({ cancelResult, gracePeriod })
            )
          )
          yield* ways.poll(opened)
          assert.strictEqual(yield* exitOf(worker), cancelResult)
        }).pipe(inLab())
      )

      it.effect(
        `work that ${kind} while it cannot be interrupted gives the cancel result${form}`,
        () =>
          Effect.gen(function* () {
            const opened = yield* openKnown()
            const { watcher } = opened
            const go = yield* Deferred.make<void>()
            const worker = yield* forkNow(
              Effect.andThen(Deferred.await(go), end).pipe(
                Effect.uninterruptible,
                watcher.runWithCancellation({ cancelResult, gracePeriod })
              )
            )
            yield* ways.poll(opened)
            yield* Deferred.succeed(go, undefined)
            yield* settle
            assert.strictEqual(yield* exitOf(worker), cancelResult)
          }).pipe(inLab())
      )
    }

    it.effect(`work that ended before the stop was seen keeps its own result${form}`, () =>
      Effect.gen(function* () {
        const { run, watcher } = yield* openKnown()
        const wrapped = watcher.runWithCancellation(Effect.as(stopElsewhere(run), "done"), {
          cancelResult,
          gracePeriod
        })
        assert.strictEqual(yield* wrapped, "done")
        assert.isFalse(yield* watcher.isCancelled)
      }).pipe(inLab())
    )

    for (const first of ["work", "poll"] as const) {
      it.effect(
        `result and flag agree when the ${first} comes first in the same instant${form}`,
        () =>
          Effect.gen(function* () {
            const { run, watcher } = yield* openKnown()
            const start = Effect.delay(Effect.succeed("done"), "3 seconds").pipe(
              watcher.runWithCancellation({ cancelResult, gracePeriod }),
              // what the flag says in the step in which the result is there
              Effect.flatMap((result) =>
                Effect.map(watcher.isCancelled, (flag) => [result, flag] as const)
              ),
              forkNow
            )
            const faults = yield* StoreFaults
            yield* stopElsewhere(run)
            // The sleeper that registers first is woken first.
            yield* faults.set({ reads: Fault.late("1 second") })
            if (first === "work") {
              const worker = yield* start
              yield* TestClock.adjust("3 seconds")
              assert.deepStrictEqual(yield* exitOf(worker), ["done", false])
            } else {
              yield* faults.set({ reads: Fault.late("3 seconds") })
              yield* TestClock.adjust("2 seconds")
              yield* faults.begun("stopRequests", 1)
              const worker = yield* start
              yield* TestClock.adjust("3 seconds")
              assert.deepStrictEqual(yield* exitOf(worker), [cancelResult, true])
            }
          }).pipe(inLab())
      )
    }

    it.effect(
      `work that detects by its own check is interrupted at its next suspension${form}`,
      () =>
        Effect.gen(function* () {
          const { run, watcher } = yield* openKnown()
          const order: Array<string> = []
          yield* stopElsewhere(run)
          const result = yield* watcher.check.pipe(
            Effect.andThen(Effect.never),
            Effect.andThen(Effect.sync(() => order.push("after"))),
            Effect.onInterrupt(() => Effect.sync(() => order.push("interrupted"))),
            watcher.runWithCancellation({ cancelResult, gracePeriod })
          )
          assert.strictEqual(result, cancelResult)
          assert.deepStrictEqual(order, ["interrupted"])
        }).pipe(inLab())
    )
  }

  it.effect("work that has not suspended yet goes on after its own check until it does", () =>
    Effect.gen(function* () {
      const { run, watcher } = yield* openKnown()
      const order: Array<string> = []
      yield* stopElsewhere(run)
      yield* watcher.check.pipe(
        Effect.andThen(Effect.sync(() => order.push("after"))),
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => order.push("interrupted"))),
        watcher.runWithCancellation({ cancelResult })
      )
      assert.deepStrictEqual(order, ["after", "interrupted"])
    }).pipe(inLab())
  )

  it.effect("nested wraps each give their own cancel result", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const { watcher } = opened
      const results: Array<unknown> = []
      const inner = yield* forkNow(
        Effect.never.pipe(
          watcher.runWithCancellation({ cancelResult: "inner" }),
          Effect.tap((result) => Effect.sync(() => results.push(result))),
          Effect.uninterruptible,
          watcher.runWithCancellation({ cancelResult: "outer" })
        )
      )
      yield* ways.poll(opened)
      assert.strictEqual(yield* exitOf(inner), "outer")
      assert.deepStrictEqual(results, ["inner"])
    }).pipe(inLab())
  )

  it.effect("an onCancelled runs once, after the work, and a stop does not interrupt it", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const { state, work } = yield* makeWork
      const worker = yield* forkNow(
        opened.watcher.runWithCancellation(work, {
          onCancelled: (event) =>
            Effect.delay(
              Effect.sync(() => [event.detectedBy, state.interrupted]),
              "1 second"
            )
        })
      )
      yield* ways.poll(opened)
      assert.strictEqual(yield* exitOf(worker), "running")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* exitOf(worker), ["poll", 1])
    }).pipe(inLab())
  )

  it.effect(
    "nothing that a stream brings after the stop is passed on, and it ends as if done",
    () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const { watcher } = opened
        const queue = yield* Queue.unbounded<number>()
        const reader = yield* forkNow(
          // Resists its interrupt until it has an element, which then comes too late.
          Stream.fromEffectRepeat(Effect.uninterruptible(Queue.take(queue))).pipe(
            watcher.streamWithCancellation(),
            Stream.runCollect
          )
        )
        yield* Queue.offer(queue, 1)
        yield* settle
        yield* ways.poll(opened)
        assert.strictEqual(yield* exitOf(reader), "running")
        yield* Queue.offer(queue, 2)
        yield* settle
        assert.deepStrictEqual(yield* exitOf(reader), [1])
      }).pipe(inLab())
  )

  it.effect("a stream that fails after the stop ends as if done", () =>
    Effect.gen(function* () {
      const opened = yield* openKnown()
      const { watcher } = opened
      const reader = yield* forkNow(
        Stream.fromEffect(Effect.andThen(watcher.cancellation, Effect.fail("no"))).pipe(
          Stream.concat(Stream.make(1)),
          watcher.streamWithCancellation(),
          Stream.runCollect
        )
      )
      yield* ways.poll(opened)
      assert.deepStrictEqual(yield* exitOf(reader), [])
    }).pipe(inLab())
  )
})

describe("Law 8: Transparent", () => {
  class Name extends Context.Service<Name, string>()("effect-cancellation/test/Name") {}

  for (const gracePeriod of [undefined, "1 second"] as const) {
    const form = gracePeriod === undefined ? "" : " (with a grace period)"

    it.effect(`successes, typed failures, defects and requirements pass unchanged${form}`, () =>
      Effect.gen(function* () {
        const { watcher } = yield* openKnown()
        const timing = { cancelResult, gracePeriod }
        const defect = new Error("defect")
        assert.strictEqual(
          yield* watcher.runWithCancellation(Effect.succeed(undefined), timing),
          undefined
        )
        assert.deepStrictEqual(
          yield* watcher.runWithCancellation(Effect.succeed(1), { gracePeriod }),
          Option.some(1)
        )
        assert.strictEqual(
          yield* Effect.flip(watcher.runWithCancellation(Effect.fail("typed"), timing)),
          "typed"
        )
        const died = yield* Effect.exit(
          Effect.die(defect).pipe(watcher.runWithCancellation(timing))
        )
        assert.isTrue(Exit.isFailure(died) && Cause.squash(died.cause) === defect)
        assert.strictEqual(
          yield* Effect.provideService(
            watcher.runWithCancellation(
              Name.useSync((name) => name),
              timing
            ),
            Name,
            "given"
          ),
          "given"
        )
      }).pipe(inLab())
    )

    it.effect(`a cause of several reasons passes whole${form}`, () =>
      Effect.gen(function* () {
        const { watcher } = yield* openKnown()
        const work = Effect.fail("typed").pipe(Effect.ensuring(Effect.die("defect")))
        const plain = yield* Effect.exit(work)
        const wrapped = yield* Effect.exit(
          watcher.runWithCancellation(work, { cancelResult, gracePeriod })
        )
        const reasons = (exit: typeof plain) =>
          Exit.isFailure(exit) ? exit.cause.reasons.map(({ _tag }) => _tag) : []
        assert.deepStrictEqual(reasons(wrapped as typeof plain), reasons(plain))
      }).pipe(inLab())
    )

    it.effect(`what the work forked ends with the work${form}`, () =>
      Effect.gen(function* () {
        const { watcher } = yield* openKnown()
        const child = yield* makeWork
        yield* Effect.andThen(Effect.forkChild(child.work), child.started).pipe(
          watcher.runWithCancellation({ cancelResult, gracePeriod })
        )
        assert.strictEqual(child.state.interrupted, 1)
      }).pipe(inLab())
    )

    it.effect(`what the work forked ends with it when it is stopped${form}`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const child = yield* makeWork
        const worker = yield* forkNow(
          Effect.andThen(Effect.forkChild(child.work), Effect.never).pipe(
            opened.watcher.runWithCancellation({ cancelResult, gracePeriod })
          )
        )
        yield* ways.poll(opened)
        assert.strictEqual(yield* exitOf(worker), cancelResult)
        assert.strictEqual(child.state.interrupted, 1)
      }).pipe(inLab())
    )

    it.effect(`an uninterruptible region inside the work is finished before the stop${form}`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const order: Array<string> = []
        const worker = yield* forkNow(
          Effect.delay(
            Effect.sync(() => order.push("region")),
            "2500 millis"
          ).pipe(
            Effect.uninterruptible,
            Effect.andThen(Effect.sync(() => order.push("after"))),
            opened.watcher.runWithCancellation({ cancelResult, gracePeriod })
          )
        )
        yield* ways.poll(opened)
        assert.strictEqual(yield* exitOf(worker), "running")
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(yield* exitOf(worker), cancelResult)
        assert.deepStrictEqual(order, ["region"])
      }).pipe(inLab())
    )

    it.effect(`an uninterruptible region around it does not protect the work${form}`, () =>
      Effect.gen(function* () {
        const opened = yield* openKnown()
        const { state, work } = yield* makeWork
        const worker = yield* forkNow(
          work.pipe(
            opened.watcher.runWithCancellation({ cancelResult, gracePeriod }),
            Effect.uninterruptible
          )
        )
        yield* ways.poll(opened)
        assert.deepStrictEqual([yield* exitOf(worker), state.interrupted], [cancelResult, 1])
      }).pipe(inLab())
    )
  }

  it.effect("a stream's elements, failures, defects and requirements pass unchanged", () =>
    Effect.gen(function* () {
      const { watcher } = yield* openKnown()
      const through = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
        Effect.exit(Stream.runCollect(watcher.streamWithCancellation(stream)))
      const defect = new Error("defect")
      assert.deepStrictEqual(yield* through(Stream.range(1, 5)), Exit.succeed([1, 2, 3, 4, 5]))
      assert.deepStrictEqual(yield* through(Stream.empty), Exit.succeed([]))
      assert.deepStrictEqual(
        yield* through(Stream.concat(Stream.make(1), Stream.fail("typed"))),
        Exit.fail("typed")
      )
      assert.deepStrictEqual(yield* through(Stream.die(defect)), Exit.die(defect))
      const named = through(Stream.fromEffect(Name.useSync((name) => name)))
      assert.deepStrictEqual(
        yield* Effect.provideService(named, Name, "given"),
        Exit.succeed(["given"])
      )
    }).pipe(inLab())
  )

  it.effect("what a stream's source forked lives as long as the stream", () =>
    Effect.gen(function* () {
      const { watcher } = yield* openKnown()
      const source = Stream.unwrap(
        Effect.gen(function* () {
          const queue = yield* Queue.unbounded<number>()
          yield* Effect.forkChild(
            Effect.forEach([1, 2, 3], (n) => Effect.delay(Queue.offer(queue, n), "1 second"))
          )
          return Stream.take(Stream.fromQueue(queue), 3)
        })
      )
      const plain = yield* forkNow(Stream.runCollect(source))
      const wrapped = yield* forkNow(Stream.runCollect(watcher.streamWithCancellation(source)))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* exitOf(plain), [1, 2, 3])
      assert.deepStrictEqual(yield* exitOf(wrapped), [1, 2, 3])
    }).pipe(inLab())
  )
})
