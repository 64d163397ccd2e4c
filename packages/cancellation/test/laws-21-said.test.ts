/** Law 21: what is said of last writes that do not arrive. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { MessageRepo, MessageStore } from "../src/index.ts"
import { forkNow, inLab, linesAt, open, openKnown, recordOf, stopElsewhere } from "./fixture-1.ts"

const told = "StoreUnavailable: The store did not do advanceRuns: The store was told to fail"

const errors = Effect.map(linesAt("Error"), (lines) =>
  lines.map(({ text }) => text).filter((text) => text.startsWith("Given up"))
)
const waits = Effect.map(linesAt("Warn"), (lines) =>
  lines.map(({ text }) => text).filter((text) => text.startsWith("Waiting"))
)

describe("Law 21: What is said of last writes that are given up", () => {
  it.effect("of a run that was stored: why, and that it will be marked lost", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close } = yield* openKnown({ name: "a" })
      yield* faults.set({ all: Fault.fail })
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* errors, [
        `Given up: 1 last write of 1 run was not stored (${told}). Marked lost by another process once this one's lease has ended: a-run`
      ])
    }).pipe(inLab())
  )

  it.effect(
    "of a run whose start was never stored: that it may leave no trace, and what follows if it does",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        yield* faults.set({ all: Fault.fail })
        const { close } = yield* open({ name: "a" })
        yield* TestClock.adjust("1 second")
        yield* close()
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* errors, [
          `Given up: 1 last write of 1 run was not stored (${told.replace("advance", "start")}). Perhaps without a trace in the store, which has not confirmed their start; if it has them, marked lost by another process once this one's lease has ended: a-run`
        ])
      }).pipe(inLab())
  )

  it.effect("of a run whose start was stored and the answer lost: the same, which holds", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ startRuns: Fault.loseAnswer, advanceRuns: Fault.fail })
      const { close, run } = yield* open({ name: "a" })
      yield* TestClock.adjust("1 second")
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.match(String((yield* errors)[0]), /Perhaps without a trace .*; if it has them, marked/)
      assert.isDefined(yield* recordOf(run))
    }).pipe(inLab())
  )

  it.effect("of an observed stop, while its run still ends: that its end may come", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { run } = yield* openKnown({ name: "a" })
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* stopElsewhere(run)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* errors, [
        `Given up: 1 last write of 1 run was not stored (${told}). Shown as not having seen their stop until their end is stored: a-run`
      ])
    }).pipe(inLab())
  )

  it.effect("of a store without leases: that it is left as running", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close } = yield* openKnown({ name: "a" })
      yield* faults.set({ all: Fault.fail })
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.match(String((yield* errors)[0]), /\)\. Left as running in the store, .*: a-run$/)
    }).pipe(inLab({}, withoutLeases))
  )

  it.effect("of many: how many writes and runs, the first ten, and how many more", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const runs = yield* Effect.forEach(
        Array.from({ length: 13 }, (_, index) => `m${index}`),
        (name) => openKnown({ name })
      )
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* Effect.forEach(runs, ({ run }) => stopElsewhere(run))
      yield* TestClock.adjust("2 seconds")
      yield* Effect.forEach(runs, ({ close }) => forkNow(close(Exit.interrupt())))
      yield* TestClock.adjust("1 second")
      const repo = yield* MessageRepo
      yield* forkNow(repo.drain({ timeout: 0 }))
      yield* TestClock.adjust("1 minute")
      const [line, ...more] = yield* errors
      assert.match(String(line), /^Given up: 26 last writes of 13 runs were not stored \(/)
      assert.match(String(line), /: m0-run, (?:m\d-run, ){8}m9-run and 3 more$/)
      assert.deepStrictEqual(more, [])
      yield* faults.heal
    }).pipe(inLab())
  )

  it.effect("of a store that has said nothing yet: just that", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close } = yield* openKnown({ name: "a" })
      yield* faults.set({ all: Fault.hang })
      yield* forkNow(close())
      const repo = yield* MessageRepo
      yield* forkNow(repo.drain({ timeout: 0 }))
      yield* TestClock.adjust("10 seconds")
      assert.match(String((yield* errors)[0]), /was not stored \(the store has not answered\)\./)
      yield* faults.heal
    }).pipe(inLab({ finalWriteTimeout: "2 seconds" }))
  )

  it.effect("a run that was seen to be gone is not given up: there is nothing to tell", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const { close, run } = yield* openKnown({ name: "a" })
      yield* faults.store.forget({ _tag: "Chat", chatId: run.ref.chatId })
      yield* TestClock.adjust("4 seconds")
      yield* faults.set({ advanceRuns: Fault.fail })
      yield* close()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* linesAt("Error"), [])
      assert.strictEqual((yield* faults.counts).advanceRuns.calls, 0)
    }).pipe(inLab())
  )
})

describe("Law 21: What is said while last writes are waited for", () => {
  const closing = Effect.fnUntraced(function* (fault: "fail" | "hang" | "healthy") {
    const faults = yield* StoreFaults
    const store = yield* MessageStore
    const scope = yield* Scope.make()
    const built = yield* Layer.buildWithScope(
      Layer.fresh(MessageRepo.layer()).pipe(Layer.provide(Layer.succeed(MessageStore, store))),
      scope
    )
    const opened = yield* Effect.provideContext(openKnown({ name: "a" }), built)
    yield* faults.set({ all: Fault[fault] })
    return { faults, opened, repoCloses: Scope.close(scope, Exit.void) }
  })

  it.effect("one warning as the repo closes: how long, for what, and why", () =>
    Effect.gen(function* () {
      const { faults, opened, repoCloses } = yield* closing("fail")
      yield* opened.close()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* waits, [])
      const fiber = yield* forkNow(repoCloses)
      const line = `Waiting at most 30s for 1 last write of 1 run, which the store has not taken yet (${told})`
      assert.deepStrictEqual(yield* waits, [line])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* waits, [line])
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* errors, [])
    }).pipe(inLab())
  )

  it.effect("one warning as soon as the store fails, if it has not before", () =>
    Effect.gen(function* () {
      const { faults, opened, repoCloses } = yield* closing("hang")
      yield* forkNow(opened.close())
      yield* forkNow(repoCloses)
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* waits, [])
      yield* TestClock.adjust("10 seconds")
      assert.lengthOf(yield* waits, 1)
      assert.include((yield* waits)[0], "it took too long")
      yield* faults.heal
      yield* TestClock.adjust("10 seconds")
    }).pipe(inLab())
  )

  it.effect("none if the store takes them", () =>
    Effect.gen(function* () {
      const { opened, repoCloses } = yield* closing("healthy")
      yield* opened.close()
      yield* repoCloses
      assert.deepStrictEqual(yield* linesAt("Warn"), [])
    }).pipe(inLab())
  )

  it.effect("none if the store failed earlier, and takes them now", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* faults.set({ starts: Fault.fail })
      const { close } = yield* open({ name: "a" })
      yield* TestClock.adjust("1 second")
      yield* faults.heal
      yield* TestClock.adjust("2 seconds")
      yield* faults.set({ advanceRuns: Fault.slow("1 second") })
      yield* forkNow(close())
      const repo = yield* MessageRepo
      yield* forkNow(repo.drain({ timeout: 0 }))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* waits, [])
    }).pipe(inLab())
  )
})

const withoutLeases = Layer.effect(
  MessageStore,
  Effect.map(MessageStore, (store) =>
    MessageStore.of({ ...store, supports: { ...store.supports, leases: false } })
  )
).pipe(Layer.provide(MessageStore.layerMemory()))
