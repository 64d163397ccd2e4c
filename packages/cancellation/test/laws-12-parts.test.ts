/** Law 12: a part of the store may fail. What is said of it, and what it means for whom. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { StoreFaults } from "effect-cancellation-testing"
import {
  CancellationMetrics,
  ForgetQuery,
  MalformedRow,
  MessageRef,
  type MessageRepoOptions,
  MessageStore,
  MessageStoreError,
  type Run,
  unavailable
} from "../src/index.ts"
import {
  exitOf,
  forkNow,
  hintOf,
  inLab,
  type Line,
  linesAt,
  looks,
  open,
  type Opened,
  openKnown,
  stopElsewhere
} from "./fixture-1.ts"

type Part = "left" | "right"

const notThere = (part: Part) =>
  unavailable("stopRequests", new Error(`the ${part} half does not answer`))

/** A store of two halves, as its runs are named, and the errors of those of which a test says so. */
const makeHalves = (
  options: MessageRepoOptions = {},
  whole: Layer.Layer<MessageStore> = MessageStore.layerMemory()
) => {
  const away = new Map<Part, MessageStoreError>()
  const malformed = new Set<string>()
  const partOf = ({ ref }: Run): Part => (ref.messageId.startsWith("left") ? "left" : "right")
  const errorOf = (run: Run): MessageStoreError | undefined =>
    away.get(partOf(run)) ??
    (malformed.has(run.ref.messageId)
      ? new MessageStoreError({ reason: new MalformedRow({ detail: run.ref.messageId }) })
      : undefined)
  const store = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        stopRequests: (runs) =>
          Effect.suspend(() =>
            Effect.map(
              store.stopRequests(runs.filter((run) => errorOf(run) === undefined)),
              (look) => ({
                ...look,
                failures: runs.flatMap((run) => {
                  const error = errorOf(run)
                  return error === undefined ? [] : [{ run, error }]
                })
              })
            )
          )
      })
    )
  ).pipe(Layer.provide(whole))
  return {
    lab: inLab(options, store),
    malformed,
    leave: (part: Part, error = notThere(part)) => Effect.sync(() => void away.set(part, error)),
    comeBack: (part: Part) => Effect.sync(() => void away.delete(part))
  }
}

const openMany = (part: Part, count: number) =>
  Effect.forEach(Array.from({ length: count }), (_, index) =>
    openKnown({ name: `${part}-${index}` })
  )

const blind = Effect.map(Metric.value(CancellationMetrics.blindRuns), ({ value }) => value)
const failedReads = Effect.map(Metric.value(CancellationMetrics.failedReads), ({ count }) => count)

const texts = (lines: ReadonlyArray<Line>) => lines.map(({ text }) => text)

const said = Effect.map(
  Effect.all({ error: linesAt("Error"), warn: linesAt("Warn"), info: linesAt("Info") }),
  ({ error, info, warn }) => ({ error: texts(error), warn: texts(warn), info: texts(info) })
)

const away =
  /^The store cannot be asked for stops; .*StoreUnavailable: .* the left half does not answer$/
const isCancelled = ({ watcher }: Opened) => watcher.isCancelled

describe("Law 12: A part of the store may fail", () => {
  // One look at all runs, or several of which some reach nobody and some everybody.
  for (const { chunkSize, failedLooks } of [
    { chunkSize: 500, failedLooks: 1 },
    { chunkSize: 3, failedLooks: 3 }
  ]) {
    it.effect(`is one warning, one line at its end, and a gauge, in looks at ${chunkSize}`, () => {
      const { comeBack, lab, leave } = makeHalves({ chunkSize })
      return Effect.gen(function* () {
        yield* openMany("left", 7)
        yield* openMany("right", 5)
        yield* leave("left")
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* blind, 7)
        // A look that fails in part is one failed read, for however many runs.
        assert.strictEqual(yield* failedReads, 60 * failedLooks)
        const [warning, ...more] = texts(yield* linesAt("Warn"))
        assert.match(String(warning), away)
        assert.deepStrictEqual(more, [])
        yield* comeBack("left")
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* blind, 0)
        yield* TestClock.adjust("1 minute")
        const { error, info, warn } = yield* said
        assert.lengthOf(info, 1)
        assert.match(String(info[0]), /^The store answers again after 2m and \d+ failed reads$/)
        assert.deepStrictEqual([warn, error], [[warning], []])
      }).pipe(lab)
    })

    it.effect(`is over when all are reached again, and no sooner, in looks at ${chunkSize}`, () => {
      const { comeBack, lab, leave } = makeHalves({ chunkSize })
      return Effect.gen(function* () {
        yield* openMany("left", 4)
        yield* openMany("right", 5)
        yield* leave("left")
        yield* leave("right")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* blind, 9)
        yield* comeBack("right")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* blind, 4)
        assert.deepStrictEqual(yield* linesAt("Info"), [])
        yield* comeBack("left")
        yield* TestClock.adjust("2 seconds")
        const { info, warn } = yield* said
        assert.lengthOf(info, 1)
        assert.lengthOf(warn, 1)
      }).pipe(lab)
    })
  }

  it.effect("has a second warning and a second line the second time", () => {
    const { comeBack, lab, leave } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 2)
      yield* openMany("right", 2)
      for (const count of [1, 2]) {
        yield* leave("left")
        yield* TestClock.adjust("10 seconds")
        assert.lengthOf(yield* linesAt("Warn"), count)
        yield* comeBack("left")
        yield* TestClock.adjust("2 seconds")
        assert.lengthOf(yield* linesAt("Info"), count)
      }
    }).pipe(lab)
  })

  it.effect("is said again after 5 minutes, as any outage that may pass", () => {
    const { comeBack, lab, leave } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 3)
      yield* openMany("right", 3)
      yield* leave("left")
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(yield* linesAt("Warn"), 1)
      yield* TestClock.adjust("4 seconds")
      const [, reminder] = texts(yield* linesAt("Warn"))
      assert.match(String(reminder), /^The store still cannot be asked for stops, after 5m and /)
      yield* comeBack("left")
    }).pipe(lab)
  })

  it.effect("is an error, once, if it does not look as if it would pass", () => {
    const { lab, leave } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 3)
      yield* openMany("right", 3)
      yield* leave("left", unavailable("stopRequests", { _tag: "AuthenticationError" }))
      yield* TestClock.adjust("30 seconds")
      const { error, warn } = yield* said
      assert.lengthOf(error, 1)
      assert.match(String(error[0]), /^The store cannot be asked .* would pass by itself/)
      assert.deepStrictEqual(warn, [])
    }).pipe(lab)
  })

  it.effect(
    "is not over when the last run that it hides has ended: it is one for the next too",
    () => {
      const { comeBack, lab, leave } = makeHalves()
      return Effect.gen(function* () {
        yield* openMany("right", 1)
        yield* leave("left")
        for (const name of ["left-a", "left-b", "left-c"]) {
          const { close } = yield* openKnown({ name })
          yield* TestClock.adjust("5 seconds")
          yield* close()
          yield* TestClock.adjust("5 seconds")
        }
        const { info, warn } = yield* said
        assert.lengthOf(warn, 1)
        assert.deepStrictEqual(info, [])
        yield* comeBack("left")
        yield* TestClock.adjust("6 minutes")
        assert.lengthOf(yield* linesAt("Info"), 1)
      }).pipe(lab)
    }
  )

  it.effect("is one too of a run whose row was malformed before it", () => {
    const { comeBack, lab, leave, malformed } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 1)
      yield* openMany("right", 1)
      malformed.add("left-0")
      yield* TestClock.adjust("4 seconds")
      yield* leave("left")
      yield* TestClock.adjust("1 minute")
      const { info, warn } = yield* said
      assert.lengthOf(warn, 2)
      assert.deepStrictEqual(info, [])
      malformed.clear()
      yield* comeBack("left")
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(yield* linesAt("Info"), 1)
      assert.strictEqual(yield* blind, 0)
    }).pipe(lab)
  })

  it.effect("is no outage of a run that begins in the part that answers", () => {
    const { lab, leave } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 1)
      yield* leave("left")
      yield* TestClock.adjust("10 seconds")
      const late = yield* openKnown({ name: "right-late" })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* blind, 1)
      yield* stopElsewhere(late.run)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* isCancelled(late))
    }).pipe(lab)
  })

  it.effect("counts no run that has ended, and leaves none behind", () => {
    const { lab, leave } = makeHalves()
    return Effect.gen(function* () {
      const left = yield* openMany("left", 2)
      yield* openMany("right", 1)
      yield* leave("left")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* blind, 2)
      for (const [index, { close }] of left.entries()) {
        yield* close()
        assert.strictEqual(yield* blind, 1 - index)
      }
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* blind, 0)
    }).pipe(lab)
  })
})

describe("Law 12: Where a part of the store answers", () => {
  it.effect("each stop there is found at its tick, and nobody else is stopped", () => {
    const { lab, leave } = makeHalves()
    return Effect.gen(function* () {
      const left = yield* openMany("left", 5)
      const right = yield* openMany("right", 5)
      yield* leave("left")
      yield* TestClock.adjust("1 minute")
      for (const [index, { run }] of right.entries()) {
        yield* stopElsewhere(run)
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Effect.forEach([...left, ...right], isCancelled), [
          ...left.map(() => false),
          ...right.map((_, other) => other <= index)
        ])
      }
    }).pipe(lab)
  })

  it.effect("it is asked at every tick, about all", () => {
    const { lab, leave } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 5)
      yield* openMany("right", 5)
      yield* leave("left")
      const before = yield* looks
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* looks) - before, 10)
    }).pipe(lab)
  })

  it.effect("a hint and a check find a stop there", () => {
    const { lab, leave } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 1)
      const hinted = yield* openKnown({ name: "right-hinted" })
      const checked = yield* openKnown({ name: "right-checked" })
      yield* leave("left")
      yield* TestClock.adjust("10 seconds")
      yield* stopElsewhere(hinted.run)
      yield* hintOf(hinted.run)
      assert.isTrue(yield* isCancelled(hinted))
      yield* stopElsewhere(checked.run)
      assert.isTrue(yield* exitOf(yield* forkNow(checked.watcher.check)))
    }).pipe(lab)
  })
})

describe("Law 12: Where a part of the store does not answer", () => {
  it.effect("maxBlind cancels those that it does not reach, each after its own time", () => {
    const { lab, leave } = makeHalves({ maxBlind: "30 seconds" })
    return Effect.gen(function* () {
      const [first] = yield* openMany("left", 1)
      const right = yield* openMany("right", 3)
      if (first === undefined) return assert.fail("no run")
      yield* leave("left")
      yield* TestClock.adjust("10 seconds")
      const second = yield* openKnown({ name: "left-late" })
      const all = [first, second, ...right]
      // blind since the tick at 2 seconds
      yield* TestClock.adjust("21999 millis")
      assert.deepStrictEqual(
        yield* Effect.forEach(all, isCancelled),
        all.map(() => false)
      )
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(
        yield* Effect.forEach(all, isCancelled),
        all.map((one) => one === first)
      )
      const { detectedBy, request } = yield* first.watcher.cancellation
      assert.deepStrictEqual([request.reason, detectedBy], ["unreachable", "local"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(
        yield* Effect.forEach(all, isCancelled),
        all.map((one) => one === first || one === second)
      )
      assert.strictEqual(yield* blind, 0)
    }).pipe(lab)
  })

  it.effect("a look that reaches them begins the time of maxBlind anew", () => {
    const { comeBack, lab, leave } = makeHalves({ maxBlind: "30 seconds" })
    return Effect.gen(function* () {
      const [run] = yield* openMany("left", 1)
      yield* openMany("right", 1)
      if (run === undefined) return assert.fail("no run")
      for (let n = 0; n < 5; n++) {
        yield* leave("left")
        yield* TestClock.adjust("20 seconds")
        yield* comeBack("left")
        yield* TestClock.adjust("4 seconds")
      }
      assert.isFalse(yield* isCancelled(run))
    }).pipe(lab)
  })

  it.effect("a stop is found at the first tick after it, by whichever way it was asked", () => {
    const { comeBack, lab, leave } = makeHalves()
    return Effect.gen(function* () {
      const left = yield* openMany("left", 3)
      yield* openMany("right", 3)
      yield* Effect.forEach(left, ({ run }) => stopElsewhere(run))
      yield* leave("left")
      const [first] = left
      if (first === undefined) return assert.fail("no run")
      yield* hintOf(first.run)
      assert.isFalse(yield* exitOf(yield* forkNow(first.watcher.check)))
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* Effect.forEach(left, isCancelled), [false, false, false])
      yield* comeBack("left")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Effect.forEach(left, isCancelled), [true, true, true])
    }).pipe(lab)
  })

  it.effect(
    "nothing is taken for gone: it takes two looks that reach it, one after the other",
    () => {
      const { comeBack, lab, leave } = makeHalves()
      return Effect.gen(function* () {
        const { store } = yield* StoreFaults
        const [run] = yield* openMany("left", 1)
        if (run === undefined) return assert.fail("no run")
        const other = MessageRef.of({ chatId: "other", messageId: "right" })
        const right = yield* openKnown({ ref: other })
        yield* TestClock.adjust("4 seconds")
        yield* leave("left")
        const { chatId } = run.run.ref
        assert.strictEqual(yield* store.forget(ForgetQuery.cases.Chat.make({ chatId })), 1)
        for (let n = 0; n < 3; n++) {
          yield* TestClock.adjust("1 minute")
          assert.isFalse(yield* isCancelled(run))
          yield* comeBack("left")
          yield* TestClock.adjust("2 seconds")
          assert.isFalse(yield* isCancelled(run))
          yield* leave("left")
        }
        yield* comeBack("left")
        yield* TestClock.adjust("4 seconds")
        const { request } = yield* run.watcher.cancellation
        assert.strictEqual(request.reason, "deleted")
        assert.isFalse(yield* isCancelled(right))
      }).pipe(lab)
    }
  )

  it.effect("nobody is told that there is no row, where no start makes one", () => {
    const rows = new Set(["left-0", "right-0"])
    const { comeBack, lab, leave } = makeHalves(
      {},
      MessageStore.fromLookup((refs) =>
        Effect.sync(() => refs.filter((ref) => rows.has(ref.messageId)).map((ref) => ({ ref })))
      )
    )
    return Effect.gen(function* () {
      yield* leave("left")
      const unwritten = yield* open({ name: "left-unwritten" })
      const there = yield* open({ name: "left-0" })
      yield* open({ name: "right-0" })
      yield* TestClock.adjust("1 minute")
      assert.match(texts(yield* linesAt("Warn")).join("\n"), away)
      yield* comeBack("left")
      yield* TestClock.adjust("10 seconds")
      const [, none, ...more] = texts(yield* linesAt("Warn"))
      assert.match(String(none), /no row of message left-unwritten/)
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual(yield* Effect.forEach([unwritten, there], isCancelled), [false, false])
    }).pipe(lab)
  })

  it.effect("a malformed row elsewhere has its own line, once, and does not prolong it", () => {
    const { comeBack, lab, leave, malformed } = makeHalves()
    return Effect.gen(function* () {
      yield* openMany("left", 3)
      yield* openMany("right", 3)
      yield* leave("left")
      malformed.add("right-1")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* blind, 4)
      const warnings = texts(yield* linesAt("Warn"))
      assert.lengthOf(warnings, 2)
      assert.lengthOf(
        warnings.filter((text) => away.test(text)),
        1
      )
      assert.include(
        warnings,
        "A run's row cannot be understood: A row of the store is malformed: right-1"
      )
      yield* comeBack("left")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* blind, 1)
      assert.lengthOf(yield* linesAt("Info"), 1)
      assert.lengthOf(yield* linesAt("Warn"), 2)
    }).pipe(lab)
  })
})
