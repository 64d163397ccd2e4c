import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { StoreFaults } from "effect-cancellation-testing"
import {
  CancellationWatcher,
  type LookupRow,
  MessageRef,
  MessageRepo,
  MessageStore,
  Run,
  RunQuery
} from "../src/index.ts"
import {
  byUser,
  callsNow,
  callsSince,
  messageTarget,
  openRepo,
  openRun,
  refOf,
  runIdOf
} from "./fixture-2.ts"

/** A table with a flag, which the test writes to. */
const makeTable = () => {
  const flags = new Map<string, unknown>()
  const asked: Array<ReadonlyArray<string>> = []
  const lookup = (refs: ReadonlyArray<MessageRef>): Effect.Effect<ReadonlyArray<LookupRow>> =>
    Effect.sync(() => {
      asked.push(refs.map(({ messageId }) => messageId))
      return refs.flatMap((ref) =>
        flags.has(ref.messageId) ? [{ ref, userAbortedAt: flags.get(ref.messageId) }] : []
      )
    })
  return { flags, asked, layer: StoreFaults.layer(MessageStore.fromLookup(lookup)) }
}

const test = (
  name: string,
  body: (table: ReturnType<typeof makeTable>) => Effect.Effect<void, unknown>
) => it.effect(name, () => body(makeTable()))

const watching = Effect.fnUntraced(function* (...names: ReadonlyArray<string>) {
  const repo = yield* openRepo()
  const runs = yield* Effect.forEach(names, (name) => openRun(repo, { ref: refOf(name) }))
  return { repo, runs, watchers: runs.map(({ watcher }) => watcher) }
})

describe("MessageStore.fromLookup with a watcher", () => {
  for (const [name, flag] of [
    ["a Date", new Date(1000)],
    ["an ISO string", "2026-01-01T00:00:00.000Z"],
    ["milliseconds", 1_700_000_000_000]
  ] as const) {
    test(`${name} is a stop, found within the interval`, ({ flags, layer }) =>
      Effect.gen(function* () {
        flags.set("a", null)
        const { watchers } = yield* watching("a")
        yield* TestClock.adjust("10 seconds")
        flags.set("a", flag)
        for (const watcher of watchers) {
          assert.isFalse(yield* watcher.isCancelled)
          yield* TestClock.adjust("2 seconds")
          const event = yield* watcher.cancellation
          assert.strictEqual(event.request.userAbortedAt, new Date(flag).getTime())
          assert.deepStrictEqual([event.detectedBy, event.request.reason], ["poll", "user"])
        }
      }).pipe(Effect.scoped, Effect.provide(layer)))
  }

  for (const flag of [null, undefined]) {
    test(`${String(flag)} is no stop`, ({ flags, layer }) =>
      Effect.gen(function* () {
        flags.set("a", flag)
        const { watchers } = yield* watching("a")
        yield* TestClock.adjust("1 minute")
        for (const watcher of watchers) assert.isFalse(yield* watcher.check)
      }).pipe(Effect.scoped, Effect.provide(layer)))
  }

  for (const [index, flag] of [
    "",
    0,
    false,
    true,
    "no",
    Number.NaN,
    Infinity,
    -1,
    {},
    [],
    5n,
    new Date("x")
  ].entries()) {
    test(`a flag that is a wrong ${typeof flag} (${index}) is no stop, and hides no other`, ({
      flags,
      layer
    }) =>
      Effect.gen(function* () {
        flags.set("a", flag).set("b", null)
        const { watchers } = yield* watching("a", "b")
        yield* TestClock.adjust("10 seconds")
        flags.set("b", 1000)
        yield* TestClock.adjust("2 seconds")
        const cancelled = yield* Effect.forEach(watchers, (watcher) => watcher.isCancelled)
        assert.deepStrictEqual(cancelled, [false, true])
      }).pipe(Effect.scoped, Effect.provide(layer)))
  }

  test("a stop from before the run is found by the first look", ({ asked, flags, layer }) =>
    Effect.gen(function* () {
      flags.set("a", 1000)
      const { watchers } = yield* watching("a")
      for (const watcher of watchers) {
        assert.strictEqual((yield* watcher.cancellation).detectedBy, "start")
      }
      assert.deepStrictEqual(asked, [["a"]])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("first looks of runs that start together share a query", ({ asked, flags, layer }) =>
    Effect.gen(function* () {
      flags.set("a", null).set("b", null).set("c", null)
      yield* watching("a", "b", "c")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(asked, [["a", "b", "c"]])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("a run that ends before its look costs none", ({ asked, layer }) =>
    Effect.gen(function* () {
      const { runs } = yield* watching("a")
      for (const run of runs) yield* run.close()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(asked, [])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("a message is asked about once, however many runs watch it", ({ asked, flags, layer }) =>
    Effect.gen(function* () {
      flags.set("a", null)
      const { watchers } = yield* watching("a", "a", "a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(asked.at(-1), ["a"])
      flags.set("a", 1000)
      yield* TestClock.adjust("2 seconds")
      const cancelled = yield* Effect.forEach(watchers, (watcher) => watcher.isCancelled)
      assert.deepStrictEqual(cancelled, [true, true, true])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("a message that is answered twice, as by a JOIN, stops all its runs alike", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const ref = refOf("a")
      const runs = ["1", "2"].map((name) => Run.make({ ref, runId: runIdOf(name) }))
      const { requests } = yield* store.stopRequests(runs)
      assert.deepStrictEqual(
        requests.map(({ run }) => run),
        runs
      )
    }).pipe(
      Effect.provide(
        MessageStore.fromLookup((refs) =>
          Effect.succeed(
            refs.flatMap((ref) => [
              { ref, userAbortedAt: null },
              { ref, userAbortedAt: 1000 }
            ])
          )
        )
      )
    )
  )

  test("a check is synchronous when the lookup is", ({ flags, layer }) =>
    Effect.gen(function* () {
      flags.set("a", null)
      const { watchers } = yield* watching("a")
      for (const watcher of watchers) {
        const context = yield* Effect.context()
        assert.isFalse(Effect.runSyncWith(context)(watcher.check))
        flags.set("a", 1000)
        assert.isTrue(Effect.runSyncWith(context)(watcher.check))
      }
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("a row that was seen and is gone in two looks is a deleted run", ({ flags, layer }) =>
    Effect.gen(function* () {
      flags.set("a", null)
      const { watchers } = yield* watching("a")
      yield* TestClock.adjust("3 seconds")
      flags.delete("a")
      yield* TestClock.adjust("2 seconds")
      for (const watcher of watchers) {
        assert.isFalse(yield* watcher.isCancelled)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* watcher.cancellation).request.reason, "deleted")
      }
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("a row that was never there is not deleted, and is found when it comes", ({
    flags,
    layer
  }) =>
    Effect.gen(function* () {
      const { watchers } = yield* watching("a")
      yield* TestClock.adjust("1 minute")
      for (const watcher of watchers) {
        assert.isFalse(yield* watcher.isCancelled)
        flags.set("a", 1000)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* watcher.isCancelled)
      }
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("a flag that is cleared before the message is written anew lets it run", ({
    flags,
    layer
  }) =>
    Effect.gen(function* () {
      flags.set("a", 1000)
      const { repo, runs } = yield* watching("a")
      for (const { close, watcher } of runs) {
        yield* watcher.cancellation
        yield* close()
      }
      flags.set("a", null)
      const { watcher } = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.isCancelled)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("everything else answers Unsupported, before it asks", ({ asked, layer }) =>
    Effect.gen(function* () {
      const { repo } = yield* watching()
      const errors = [
        yield* Effect.flip(repo.requestStop(messageTarget(refOf("a")), byUser)),
        yield* Effect.flip(repo.findRuns(RunQuery.cases.Refs.make({ refs: [refOf("a")] }))),
        yield* Effect.flip(repo.forget({ _tag: "EndedBefore", time: 0 }))
      ]
      assert.deepStrictEqual(
        errors.map(({ reason }) => reason._tag),
        ["Unsupported", "Unsupported", "Unsupported"]
      )
      assert.deepStrictEqual(asked, [])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  test("a run and its stop write nothing", ({ flags, layer }) =>
    Effect.gen(function* () {
      flags.set("a", 1000)
      const { runs } = yield* watching("a")
      for (const { close, watcher } of runs) {
        yield* watcher.cancellation
        yield* close()
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* callsSince({}), { stopRequests: 1 })
      assert.deepStrictEqual(yield* callsNow, { ...(yield* callsNow), startRuns: 0 })
    }).pipe(Effect.scoped, Effect.provide(layer)))

  const lookups: Readonly<
    Record<
      string,
      (refs: ReadonlyArray<MessageRef>) => Effect.Effect<ReadonlyArray<LookupRow>, string>
    >
  > = {
    fails: () => Effect.fail("no connection"),
    dies: () => Effect.die("a bug"),
    throws: () => {
      throw new Error("a bug")
    },
    hangs: () => Effect.never,
    "answers null": () => Effect.succeed(null as never),
    "answers a row without a ref first": (refs) =>
      Effect.succeed([
        { userAbortedAt: 1000 } as LookupRow,
        ...refs.map((ref) => ({ ref, userAbortedAt: null }))
      ]),
    "answers about other messages": () =>
      Effect.succeed([{ ref: refOf("stranger"), userAbortedAt: 1000 }])
  }
  for (const [name, lookup] of Object.entries(lookups)) {
    it.effect(
      `a lookup that ${name} stops nothing, and a stop is found when it is well again`,
      () => {
        let well = false
        const layer = MessageStore.fromLookup((refs) =>
          well ? Effect.succeed(refs.map((ref) => ({ ref, userAbortedAt: 1000 }))) : lookup(refs)
        )
        return Effect.gen(function* () {
          const repo = yield* openRepo()
          const { watcher } = yield* openRun(repo, { ref: refOf("a") })
          const work = yield* Effect.never.pipe(
            watcher.runWithCancellation({ cancelResult: "stopped" }),
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust("1 minute")
          assert.isUndefined(work.pollUnsafe())
          well = true
          yield* TestClock.adjust("7 seconds")
          assert.strictEqual(yield* Fiber.join(work), "stopped")
        }).pipe(Effect.provide(layer))
      }
    )
  }

  it.effect("a row without a ref hides no other row", () => {
    const layer = MessageStore.fromLookup((refs) =>
      Effect.succeed([
        { userAbortedAt: 1000 } as LookupRow,
        null as unknown as LookupRow,
        ...refs.map((ref) => ({ ref, userAbortedAt: 1000 }))
      ])
    )
    return Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* watcher.isCancelled)
    }).pipe(Effect.provide(layer))
  })

  it.effect("rows that name no message asked for are warned of once", () => {
    const warnings: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(message)
    })
    const foreign = MessageRef.of({ companyId: "acme", chatId: "chat", messageId: "a" })
    const lookup = () => Effect.succeed([{ ref: foreign, userAbortedAt: new Date(1000) }])
    return Effect.gen(function* () {
      const { watchers } = yield* watching("a")
      yield* TestClock.adjust("10 seconds")
      for (const watcher of watchers) assert.isFalse(yield* watcher.isCancelled)
      const once = warnings.filter((warning) =>
        /no row answered names a message asked for/.test(String(warning))
      )
      assert.lengthOf(once, 1)
    }).pipe(
      Effect.provide(
        Layer.merge(StoreFaults.layer(MessageStore.fromLookup(lookup)), Logger.layer([logger]))
      )
    )
  })

  it.effect("its layer is all that a watcher and a repo need", () =>
    Effect.gen(function* () {
      const agent = CancellationWatcher.check
      const answer = yield* agent.pipe(
        Effect.provide(
          Layer.provide(CancellationWatcher.layer({ ref: refOf("a") }), MessageRepo.layer())
        )
      )
      assert.isTrue(answer)
    }).pipe(
      Effect.provide(
        MessageStore.fromLookup((refs) =>
          Effect.succeed(refs.map((ref) => ({ ref, userAbortedAt: 1000 })))
        )
      )
    )
  )
})
