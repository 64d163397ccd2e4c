import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import {
  CancellationWatcher,
  MessageRepo,
  MessageStore,
  Run,
  StopIntent,
  UserId
} from "effect-cancellation"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { ChildRuns } from "../src/ChildRuns.ts"
import {
  asParent,
  Eyes,
  inLab,
  named,
  outcomes,
  pass,
  recordOf,
  settle,
  story,
  warnings
} from "./child-runs.fixture.ts"

const child = Run.make(named("child"))

/** The child's process, which knows nothing of its parent; the two have the store in common. */
const elsewhere = (name = "child") => {
  const told = story()
  const works = Effect.provide(told.works(), CancellationWatcher.layer(named(name)))
  return { ...told, begin: Effect.forkDetach(works) }
}

/** A parent that follows its child until it is let go. */
const following = Effect.fnUntraced(function* (
  options?: Parameters<typeof ChildRuns.follow>[1],
  settings: { readonly handlerTimeout?: "2 seconds" } = {}
) {
  const fiber = yield* Effect.andThen(ChildRuns.follow(child, options), Effect.never).pipe(
    Effect.scoped,
    CancellationWatcher.runWithCancellation({ cancelResult: "parent stopped" }),
    Effect.provide(CancellationWatcher.layer({ ...named("parent"), ...settings })),
    Effect.forkChild
  )
  yield* settle
  return fiber
})

const stopParent = Effect.flatMap(MessageRepo, (repo) =>
  Effect.andThen(
    Effect.orDie(
      repo.requestStop(
        named("parent").ref,
        StopIntent.make({ reason: "user", requestedBy: UserId.make("ann"), note: "private" })
      )
    ),
    settle
  )
)

/** What the store was asked for the child, whichever way it answered. */
const asked = Effect.map(
  Effect.flatMap(StoreFaults, ({ counts }) => counts),
  ({ requestStop }) => requestStop
)

describe("a child that runs in another process and is followed", () => {
  it.effect("is stopped with its parent: reason parent, the same person, and no note", () =>
    Effect.gen(function* () {
      const other = elsewhere()
      yield* other.begin
      const parent = yield* following()
      yield* stopParent
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      yield* pass("2 seconds")
      assert.deepStrictEqual(other.lines, ["begins", "stopped: parent", "saved"])
      const request = (yield* recordOf("child"))?.request
      assert.deepStrictEqual(
        { ...request },
        { userAbortedAt: 0, reason: "parent", requestedBy: UserId.make("ann") }
      )
      assert.deepStrictEqual(yield* outcomes, ["child: stopped", "parent: stopped"])
    }).pipe(inLab())
  )

  it.effect("is stopped though its parent was for reasons of its process alone", () =>
    Effect.gen(function* () {
      const other = elsewhere()
      yield* other.begin
      yield* Effect.gen(function* () {
        yield* ChildRuns.follow(child)
        yield* CancellationWatcher.cancel("shutdown")
        yield* settle
      }).pipe(Effect.scoped, asParent)
      assert.deepStrictEqual(other.lines, ["begins", "stopped: parent", "saved"])
      assert.isUndefined((yield* recordOf("child"))?.request?.requestedBy)
    }).pipe(inLab())
  )

  it.effect("goes on if it is to continue, and nothing is asked", () =>
    Effect.gen(function* () {
      const other = elsewhere()
      const running = yield* other.begin
      const parent = yield* following({ onParentStop: "continue" })
      yield* stopParent
      yield* Fiber.join(parent)
      yield* pass("10 seconds")
      assert.deepStrictEqual(other.lines, ["begins"])
      assert.strictEqual((yield* asked).ended, 1)
      yield* Fiber.interrupt(running)
    }).pipe(inLab())
  )

  it.effect("leaves its parent alone when it is stopped itself", () =>
    Effect.gen(function* () {
      const other = elsewhere()
      yield* other.begin
      const parent = yield* following()
      const repo = yield* MessageRepo
      yield* repo.requestStop(child)
      yield* pass("10 seconds")
      assert.deepStrictEqual(other.lines, ["begins", "stopped: user", "saved"])
      assert.isUndefined(parent.pollUnsafe())
      yield* stopParent
      assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
      // too late for it, and the first reason stays
      assert.strictEqual((yield* recordOf("child"))?.request?.reason, "user")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(inLab())
  )

  it.effect("that has not begun is stopped as it begins", () =>
    Effect.gen(function* () {
      const parent = yield* following()
      yield* stopParent
      yield* Fiber.join(parent)
      yield* pass("29 seconds")
      const other = elsewhere()
      yield* other.begin
      yield* settle
      assert.deepStrictEqual(other.lines, ["begins", "stopped: parent", "saved"])
    }).pipe(inLab())
  )

  it.effect("is stopped as it begins if its parent was before it was followed", () =>
    Effect.gen(function* () {
      const other = elsewhere()
      yield* Effect.gen(function* () {
        yield* CancellationWatcher.cancel("user")
        yield* ChildRuns.follow(child)
        // the store has it before anything can be started
        assert.strictEqual((yield* asked).ended, 1)
        yield* other.begin
        yield* settle
      }).pipe(Effect.scoped, asParent)
      assert.deepStrictEqual(other.lines, ["begins", "stopped: parent", "saved"])
    }).pipe(inLab())
  )

  it.effect(
    "that is followed after the stop of its parent cannot begin before the store has it",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* Effect.gen(function* () {
          yield* CancellationWatcher.cancel("user")
          yield* faults.set({ requestStop: Fault.hang })
          const follows = yield* Effect.forkChild(ChildRuns.follow(child))
          yield* pass("1 second")
          assert.isUndefined(follows.pollUnsafe())
          yield* faults.heal
          yield* Fiber.join(follows)
          assert.strictEqual((yield* asked).ended, 1)
        }).pipe(Effect.scoped, asParent)
      }).pipe(inLab())
  )

  it.effect("is not stopped once it is not followed any more", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* Effect.scoped(ChildRuns.follow(child))
        yield* CancellationWatcher.cancel("user")
        yield* settle
      }).pipe(asParent)
      assert.strictEqual((yield* asked).calls, 0)
    }).pipe(inLab())
  )

  it.effect("is not stopped by an interruption of its parent", () =>
    Effect.gen(function* () {
      const { fibers } = yield* Eyes
      const { alive } = fibers
      const parent = yield* following()
      yield* Fiber.interrupt(parent)
      yield* settle
      assert.strictEqual((yield* asked).calls, 0)
      assert.strictEqual(fibers.alive, alive)
    }).pipe(inLab())
  )

  it.effect("is stopped with a hundred others", () =>
    Effect.gen(function* () {
      const others = Array.from({ length: 100 }, (_, index) => elsewhere(`child ${index}`))
      yield* Effect.forEach(others, ({ begin }) => begin)
      yield* settle
      yield* Effect.gen(function* () {
        yield* Effect.forEach(others, (_, index) =>
          ChildRuns.follow(Run.make(named(`child ${index}`)))
        )
        yield* CancellationWatcher.cancel("user")
        yield* settle
      }).pipe(Effect.scoped, asParent)
      yield* pass("2 seconds")
      for (const { lines } of others) {
        assert.deepStrictEqual(lines, ["begins", "stopped: parent", "saved"])
      }
    }).pipe(inLab())
  )
})

describe("a stop of the parent while the store cannot be written", () => {
  it.effect("is asked for again until the store has it, and nobody waits meanwhile", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const other = elsewhere()
      yield* other.begin
      yield* settle
      yield* Effect.gen(function* () {
        yield* ChildRuns.follow(child)
        yield* faults.set({ requestStop: Fault.fail })
        yield* CancellationWatcher.cancel("user")
        yield* pass("20 seconds")
        assert.isAtLeast((yield* asked).ended, 10)
        assert.isAtMost((yield* asked).ended, 20)
        assert.deepStrictEqual(other.lines, ["begins"])
        yield* faults.heal
        yield* pass("4 seconds")
      }).pipe(Effect.scoped, asParent)
      assert.deepStrictEqual(other.lines, ["begins", "stopped: parent", "saved"])
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(inLab())
  )

  for (const [how, fault] of [
    ["fails", Fault.fail],
    ["hangs", Fault.hang]
  ] as const) {
    it.effect(`keeps the parent at most its handlerTimeout, and says so: it ${how}`, () =>
      Effect.gen(function* () {
        const { fibers } = yield* Eyes
        const { alive } = fibers
        const faults = yield* StoreFaults
        const parent = yield* following(undefined, { handlerTimeout: "2 seconds" })
        const { store } = faults
        yield* Effect.orDie(
          store.requestStop(
            { _tag: "Message", ref: named("parent").ref },
            StopIntent.make({ reason: "user", note: "private" })
          )
        )
        yield* faults.set({ requestStop: fault })
        // found by a poll, 2 seconds after the first
        yield* pass("3900 millis")
        assert.isUndefined(parent.pollUnsafe())
        yield* pass("100 millis")
        assert.strictEqual(yield* Fiber.join(parent), "parent stopped")
        // the call that hangs is given up by the repo
        yield* pass("5 seconds")
        yield* faults.heal
        yield* pass("1 second")
        assert.strictEqual(fibers.alive, alive)
        const lines = yield* warnings
        const [line] = lines.filter(({ text }) => text.includes("did not confirm the stop"))
        assert.strictEqual(line?.annotations["effect_cancellation.run_id"], "child-run")
        assert.notInclude(JSON.stringify(lines), "private")
      }).pipe(inLab())
    )
  }

  it.effect("is not said to be unconfirmed if the answer only comes late", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* Effect.gen(function* () {
        yield* ChildRuns.follow(child)
        yield* faults.set({ requestStop: Fault.hang })
        yield* CancellationWatcher.cancel("user")
      }).pipe(
        Effect.scoped,
        Effect.provide(CancellationWatcher.layer({ ...named("parent"), handlerTimeout: 0 }))
      )
      yield* pass("1 second")
      yield* faults.heal
      yield* pass("1 second")
      assert.strictEqual((yield* asked).ended, 1)
      assert.deepStrictEqual(
        (yield* warnings).filter(({ text }) => text.includes("did not confirm")),
        []
      )
    }).pipe(inLab())
  )

  it.effect("does not keep who follows after it longer than one attempt", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ requestStop: Fault.fail })
      yield* Effect.gen(function* () {
        yield* CancellationWatcher.cancel("user")
        yield* ChildRuns.follow(child)
        assert.strictEqual((yield* asked).ended, 1)
        yield* faults.heal
        yield* pass("1 second")
        assert.strictEqual((yield* asked).ended, 2)
      }).pipe(Effect.scoped, asParent)
    }).pipe(inLab())
  )

  it.effect("is told once and not asked for again if the store takes no stops at all", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* ChildRuns.follow(child)
        yield* CancellationWatcher.cancel("user")
        yield* pass("1 minute")
      }).pipe(Effect.scoped, asParent)
      assert.strictEqual((yield* asked).ended, 1)
      const [line, ...others] = yield* warnings
      assert.deepStrictEqual(others, [])
      assert.include(line?.text, "did not confirm the stop")
      assert.include(line?.text, "does not support requestStop")
    }).pipe(
      inLab(
        {},
        MessageStore.fromLookup(() => Effect.succeed([]))
      )
    )
  )
})
