/** Law 12: what is said of an outage, how loudly and how often. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import { MessageStore, type MessageStoreError, unavailable } from "../src/index.ts"
import { inLab, type Line, linesAt, open, openKnown } from "./fixture-1.ts"

/** A store in memory whose reads fail with what the test says, if it says anything. */
const makeFailing = () => {
  const state: { error: MessageStoreError | undefined } = { error: undefined }
  const layer = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        stopRequests: (runs) =>
          Effect.suspend(() =>
            state.error === undefined ? store.stopRequests(runs) : Effect.fail(state.error)
          )
      })
    )
  ).pipe(Layer.provide(MessageStore.layerMemory()))
  const failWith = (cause: unknown) => {
    state.error = unavailable("stopRequests", cause)
  }
  return { state, failWith, lab: inLab({}, layer) }
}

/** As the adapters say it: what the driver said, under words of their own. */
const wrapped = (cause: unknown) => new Error("in words", { cause: { reason: { cause } } })

const missingTable = Object.assign(new Error('relation "agent_runs" does not exist'), {
  code: "42P01"
})

const texts = (lines: ReadonlyArray<Line>) => lines.map(({ text }) => text)

describe("Law 12: What is said of an outage", () => {
  const permanent: Readonly<Record<string, unknown>> = {
    "a missing table": wrapped(missingTable),
    "no rights": wrapped(Object.assign(new Error("permission denied"), { code: "42501" })),
    "a wrong password": wrapped({ _tag: "AuthenticationError" }),
    "a wrong password, of a driver": Object.assign(new Error("no"), { code: "28P01" }),
    "a missing database": Object.assign(new Error("no"), { sqlState: "3D000" }),
    "a URL that is none": wrapped(Object.assign(new Error("no"), { code: "ERR_INVALID_URL" })),
    "a certificate of another host": wrapped(
      Object.assign(new Error("no"), { code: "ERR_TLS_CERT_ALTNAME_INVALID" })
    ),
    "a certificate nobody vouches for": Object.assign(new Error("no"), {
      code: "DEPTH_ZERO_SELF_SIGNED_CERT"
    }),
    "a missing table of SQLite": wrapped(new Error("no such table: agent_runs"))
  }
  const passing: Readonly<Record<string, unknown>> = {
    "a lost connection": wrapped(Object.assign(new Error("gone"), { code: "ECONNREFUSED" })),
    "a server that shuts down": wrapped({
      _tag: "UnknownError",
      isRetryable: false,
      cause: Object.assign(new Error("terminating connection"), { code: "57P01" })
    }),
    "a certificate that is not valid yet": Object.assign(new Error("no"), {
      code: "CERT_NOT_YET_VALID"
    }),
    "a string": "no connection",
    nothing: undefined
  }

  for (const [level, causes] of [
    ["Error", permanent],
    ["Warn", passing]
  ] as const) {
    for (const [name, cause] of Object.entries(causes)) {
      it.effect(`${name} is said at the level ${level}, once`, () => {
        const { failWith, lab } = makeFailing()
        return Effect.gen(function* () {
          yield* openKnown({ name: "a" })
          yield* openKnown({ name: "b" })
          failWith(cause)
          yield* TestClock.adjust("30 seconds")
          const lines = [...(yield* linesAt("Error")), ...(yield* linesAt("Warn"))]
          assert.deepStrictEqual(
            lines.map((line) => line.level),
            [level]
          )
          assert.match(String(lines[0]?.text), /^The store cannot be asked for stops/)
          assert.strictEqual(/pass by itself/.test(String(lines[0]?.text)), level === "Error")
        }).pipe(lab)
      })
    }
  }

  it.effect("a cause that is its own cause is looked at, and no more", () => {
    const { failWith, lab } = makeFailing()
    return Effect.gen(function* () {
      yield* openKnown()
      const error = new Error("round")
      error.cause = error
      failWith(error)
      yield* TestClock.adjust("10 seconds")
      assert.lengthOf(yield* linesAt("Warn"), 1)
    }).pipe(lab)
  })

  it.effect("it is one line: which failure, in whose words, and no stack", () => {
    const { failWith, lab } = makeFailing()
    return Effect.gen(function* () {
      yield* openKnown()
      failWith(new Error(`first\n  second ${"x".repeat(1000)}`))
      yield* TestClock.adjust("10 seconds")
      const [line] = texts(yield* linesAt("Warn"))
      assert.include(
        line,
        "it is asked again: StoreUnavailable: The store did not do stopRequests: first second xx"
      )
      assert.notMatch(String(line), /\n|\.ts:\d/)
      assert.isBelow(String(line).length, 700)
    }).pipe(lab)
  })

  it.effect("one that looks permanent is said again after 1, 5, 15 and 60 minutes, and on", () => {
    const { failWith, lab, state } = makeFailing()
    return Effect.gen(function* () {
      yield* Effect.forEach(["a", "b", "c"], (name) => openKnown({ name }))
      failWith(missingTable)
      yield* TestClock.adjust("2 seconds")
      let said = 1
      for (const minutes of [1, 5, 15, 60, 60]) {
        yield* TestClock.adjust(minutes * 60_000 - 1)
        assert.lengthOf(yield* linesAt("Error"), said)
        yield* TestClock.adjust(1)
        assert.lengthOf(yield* linesAt("Error"), ++said)
      }
      const [, first, second] = texts(yield* linesAt("Error"))
      assert.match(String(first), /still cannot be asked for stops, after 1m and \d+ failed reads/)
      assert.match(String(second), /after 6m and .*does not exist\. This does not look/)
      state.error = undefined
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(yield* linesAt("Info"), 1)
      assert.lengthOf(yield* linesAt("Warn"), 0)
    }).pipe(lab)
  })

  it.effect("one that may pass is said again after 5 minutes", () => {
    const { failWith, lab } = makeFailing()
    return Effect.gen(function* () {
      yield* openKnown()
      failWith("no connection")
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(yield* linesAt("Warn"), 1)
      yield* TestClock.adjust("4 seconds")
      assert.lengthOf(yield* linesAt("Warn"), 2)
      assert.lengthOf(yield* linesAt("Error"), 0)
    }).pipe(lab)
  })

  it.effect("one that turns out to be permanent is said at once, and once", () => {
    const { failWith, lab } = makeFailing()
    return Effect.gen(function* () {
      yield* openKnown()
      for (let round = 0; round < 4; round++) {
        failWith("no connection")
        yield* TestClock.adjust("6 seconds")
        assert.lengthOf(yield* linesAt("Error"), Math.min(round, 1))
        failWith(missingTable)
        yield* TestClock.adjust("6 seconds")
        assert.lengthOf(yield* linesAt("Error"), 1)
      }
      assert.lengthOf(yield* linesAt("Warn"), 1)
    }).pipe(lab)
  })

  it.effect("times are whole, and one read is no reads", () => {
    const { failWith, lab, state } = makeFailing()
    return Effect.gen(function* () {
      yield* openKnown({ pollInterval: 1234.5 })
      failWith("no connection")
      yield* TestClock.adjust("1235 millis")
      state.error = undefined
      yield* TestClock.adjust("2 seconds")
      const [line] = texts(yield* linesAt("Info"))
      assert.match(String(line), /^The store answers again after (?:1s )?\d+ms and 1 failed read$/)
    }).pipe(lab)
  })
})

describe("Law 12: An outage that nobody watches", () => {
  const untilClosed = Effect.fnUntraced(function* <R>(fails: Effect.Effect<void, never, R>) {
    const { close } = yield* openKnown({ name: "a" })
    yield* fails
    yield* TestClock.adjust("5 seconds")
    yield* close()
  })

  it.effect("is not counted in its length", () => {
    const { failWith, lab, state } = makeFailing()
    return Effect.gen(function* () {
      yield* untilClosed(Effect.sync(() => failWith("no connection")))
      state.error = undefined
      yield* TestClock.adjust("8 hours")
      yield* open({ name: "b" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(texts(yield* linesAt("Info")), [
        "The store answers again after 3s and 2 failed reads, and 8h in which nothing asked it"
      ])
    }).pipe(lab)
  })

  it.effect("is another one when the store fails again hours later", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      yield* untilClosed(faults.set({ reads: Fault.fail }))
      yield* TestClock.adjust("8 hours")
      yield* faults.set({ starts: Fault.fail })
      yield* open({ name: "b" })
      yield* TestClock.adjust("1 minute")
      const warnings = texts(yield* linesAt("Warn"))
      assert.lengthOf(warnings, 2)
      for (const text of warnings) assert.match(text, /^The store cannot be asked for stops; /)
      yield* faults.heal
      yield* TestClock.adjust("5 seconds")
      assert.match(String(texts(yield* linesAt("Info"))[0]), /^The store answers again after 1m /)
    }).pipe(inLab())
  )

  it.effect("is one with what the next run finds soon after", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      for (const name of ["a", "b", "c", "d"]) {
        const { close } = yield* open({ name })
        yield* faults.set({ starts: Fault.fail, reads: Fault.fail })
        yield* TestClock.adjust("3 seconds")
        yield* close()
        yield* TestClock.adjust("1 minute")
      }
      yield* faults.heal
      yield* open({ name: "e" })
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(yield* linesAt("Warn"), 1)
      const [line] = texts(yield* linesAt("Info"))
      assert.match(String(line), /^The store answers again after 4m \d+s and \d+ failed reads$/)
    }).pipe(inLab())
  )

  it.effect("is none: whoever looks once an hour is watched all the same", () => {
    const { failWith, lab, state } = makeFailing()
    return Effect.gen(function* () {
      yield* openKnown({ pollInterval: "1 hour" })
      failWith("no connection")
      yield* TestClock.adjust("3 hours")
      state.error = undefined
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(yield* linesAt("Warn"), 3)
      assert.deepStrictEqual(texts(yield* linesAt("Info")), [
        "The store answers again after 3h and 3 failed reads"
      ])
    }).pipe(lab)
  })
})

describe("Law 12: A run without a row, where no start makes one", () => {
  const makeTable = () => {
    const rows = new Set<string>()
    const layer = MessageStore.fromLookup((refs) =>
      Effect.sync(() => refs.filter(({ messageId }) => rows.has(messageId)).map((ref) => ({ ref })))
    )
    return { rows, lab: inLab({}, layer) }
  }

  it.effect("is one warning that names the message, from the second look on", () => {
    const { lab, rows } = makeTable()
    return Effect.gen(function* () {
      rows.add("there")
      yield* open({ name: "there" })
      yield* open({ name: "not-there" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* linesAt("Warn"), [])
      yield* TestClock.adjust("1 minute")
      const [line, ...more] = yield* linesAt("Warn")
      assert.deepStrictEqual(more, [])
      assert.match(String(line?.text), /no row of message not-there, .* run not-there-run /)
      assert.strictEqual(line?.annotations["effect_cancellation.message_id"], "not-there")
    }).pipe(lab)
  })

  it.effect("is none while the looks come one upon the other", () => {
    const { lab } = makeTable()
    return Effect.gen(function* () {
      const { watcher } = yield* open({ name: "a" })
      yield* TestClock.adjust("10 millis")
      for (let look = 0; look < 3; look++) yield* watcher.check
      assert.deepStrictEqual(yield* linesAt("Warn"), [])
      yield* TestClock.adjust("1 second")
      yield* watcher.check
      assert.lengthOf(yield* linesAt("Warn"), 1)
    }).pipe(lab)
  })

  it.effect("is one for each run", () => {
    const { lab } = makeTable()
    return Effect.gen(function* () {
      yield* Effect.forEach(["a", "b", "c"], (name) => open({ name }))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(yield* linesAt("Warn"), 3)
    }).pipe(lab)
  })

  it.effect("is none for a row that comes between the first look and the second", () => {
    const { lab, rows } = makeTable()
    return Effect.gen(function* () {
      const { watcher } = yield* open({ name: "a" })
      yield* TestClock.adjust("1 second")
      rows.add("a")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* linesAt("Warn"), [])
      rows.delete("a")
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* watcher.cancellation).request.reason, "deleted")
      assert.deepStrictEqual(yield* linesAt("Warn"), [])
    }).pipe(lab)
  })

  it.effect("after the warning a row that comes is a row like any other", () => {
    const { lab, rows } = makeTable()
    return Effect.gen(function* () {
      const { watcher } = yield* open({ name: "a" })
      yield* TestClock.adjust("10 seconds")
      rows.add("a")
      yield* TestClock.adjust("2 seconds")
      rows.delete("a")
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(yield* watcher.isCancelled)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* watcher.isCancelled)
      assert.lengthOf(yield* linesAt("Warn"), 1)
    }).pipe(lab)
  })

  it.effect("a store that makes the rows itself is not warned of", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const { run } = yield* openKnown()
      yield* store.forget({ _tag: "Chat", chatId: run.ref.chatId })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* linesAt("Warn"), [])
    }).pipe(inLab())
  )
})
