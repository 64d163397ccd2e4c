import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Fault, StoreFaults } from "effect-cancellation-testing"
import {
  CompanyId,
  InvalidRef,
  MessageId,
  MessageRef,
  MessageStore,
  MessageStoreError,
  ProcessId,
  RunId,
  StopIntent,
  StopReason,
  UserId
} from "../src/index.ts"
import { byUser, faultyMemory, openRepo, openRun, refOf, runOf, runTarget } from "./fixture-2.ts"

const provided = Effect.provide(faultyMemory)

const bad: Readonly<Record<string, unknown>> = {
  "an empty string": "",
  "a double quote": 'a"b',
  "a single quote": "a'b",
  "a backtick": "a`b",
  "a line feed": "a\nb",
  "a carriage return": "a\rb",
  "a tab": "a\tb",
  NUL: "a\0b",
  "an escape sequence": "\u001b[31mred",
  "a line separator": "a\u2028b",
  "a paragraph separator": "a\u2029b",
  "a right-to-left override": "a\u202eb",
  "a zero-width space": "a\u200bb",
  "a high surrogate alone": "a\ud800b",
  "a low surrogate alone": "a\udc00b",
  "256 characters": "a".repeat(256),
  "10,000 characters": "a".repeat(10_000),
  "10,000 quotes": '"'.repeat(10_000),
  "a number": 7,
  NaN: Number.NaN,
  null: null,
  "a boolean": true,
  "an array": ["a"],
  "an object": { toString: () => "a" }
}

const good: Readonly<Record<string, string>> = {
  "one character": "a",
  "255 characters": "a".repeat(255),
  "255 characters beyond the basic plane": "😀".repeat(255),
  "a uuid": "5b0a3f0e-6a0f-4b8c-8f55-1f3e0a2b7c9d",
  "spaces and punctuation": "a b/c:d;e,f.g|h\\i%j",
  "other scripts": "会话-чат-محادثة"
}

const fields = ["companyId", "userId", "chatId", "messageId"] as const
const ids = { companyId: "company", userId: "user", chatId: "chat", messageId: "message" }

describe("Bad input: ids", () => {
  for (const field of fields) {
    for (const [name, value] of Object.entries(bad)) {
      it.effect(`${name} as ${field} is refused with the name of the field`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(MessageRef.decode({ ...ids, [field]: value }))
          assert.instanceOf(error, InvalidRef)
          assert.include(error.message, field)
          for (const other of fields) if (other !== field) assert.notInclude(error.message, other)
          assert.isBelow(error.message.length, 400)
          assert.isTrue(error.message.isWellFormed())
          for (const char of ["\0", "\u001b", "\u202e"]) assert.notInclude(error.message, char)
        })
      )
    }
    for (const [name, value] of Object.entries(good)) {
      it.effect(`${name} is a ${field}`, () =>
        Effect.map(MessageRef.decode({ ...ids, [field]: value }), (ref) =>
          assert.strictEqual(ref[field], value)
        )
      )
    }
  }

  for (const field of ["chatId", "messageId"] as const) {
    it.effect(`a ref without ${field} is refused with the name of the field`, () =>
      Effect.gen(function* () {
        const { [field]: _, ...rest } = ids
        const error = yield* Effect.flip(MessageRef.decode(rest))
        assert.include(error.message, field)
      })
    )
  }

  for (const input of [undefined, null, 7, "chat", [], () => ids]) {
    it.effect(`${String(input) || "an empty array"} is no ref`, () =>
      Effect.map(Effect.flip(MessageRef.decode(input)), (error) =>
        assert.instanceOf(error, InvalidRef)
      )
    )
  }

  it("MessageRef.of throws on a bad id", () => {
    assert.throws(() => MessageRef.of({ ...ids, chatId: "" }), InvalidRef, /chatId.*It is ""/s)
  })

  it("the error shows the value, and nothing that a terminal must not get", () => {
    const messageId = `What's \u202enew${"x".repeat(300)}`
    assert.throws(
      () => MessageRef.of({ ...ids, messageId }),
      /at \["messageId"\]\. It is "What's \\u202enewx+… \(\d+ characters\)\.$/
    )
  })

  for (const [name, id] of Object.entries({ RunId, MessageId, CompanyId, UserId, ProcessId })) {
    it(`${name} refuses all of them, too`, () => {
      for (const value of Object.values(bad)) assert.isFalse(Schema.is(id)(value))
      for (const value of Object.values(good)) assert.isTrue(Schema.is(id)(value))
    })
  }
})

describe("Bad input: intents", () => {
  const decode = (input: unknown) => Effect.exit(Schema.decodeUnknownEffect(StopIntent)(input))

  it.effect("a note of 500 characters is taken, one of 501 is not", () =>
    Effect.gen(function* () {
      const taken = yield* decode({ reason: "user", note: "n".repeat(500) })
      assert.isTrue(Exit.isSuccess(taken))
      const refused = yield* decode({ reason: "user", note: "n".repeat(501) })
      assert.isTrue(Exit.isFailure(refused))
      assert.throws(() => StopIntent.make({ reason: "user", note: "n".repeat(501) }))
    })
  )

  for (const reason of ["user", "disconnect", "deadline", "shutdown", "parent", "deleted"]) {
    it(`${reason} is a reason`, () => assert.isTrue(Schema.is(StopReason)(reason)))
  }
  for (const reason of ["other:quota", "other:a", "other:0._-", `other:${"a".repeat(64)}`]) {
    it(`${reason} is a reason of the application's own`, () =>
      assert.isTrue(Schema.is(StopReason)(reason)))
  }
  for (const reason of [
    "",
    "User",
    "other",
    "other:",
    "other:A",
    "other:a b",
    "other:a\n",
    "other:\ud800",
    "others:a",
    " other:a",
    `other:${"a".repeat(65)}`,
    7,
    null
  ]) {
    it(`${JSON.stringify(reason)} is no reason`, () =>
      assert.isFalse(Schema.is(StopReason)(reason)))
  }

  it.effect("the person who asks is named by an id", () =>
    Effect.gen(function* () {
      assert.isTrue(Exit.isFailure(yield* decode({ reason: "user", requestedBy: "a\nb" })))
      assert.isTrue(Exit.isSuccess(yield* decode({ reason: "user", requestedBy: "ann" })))
    })
  )

  it.effect("a note never appears in the log", () => {
    const lines: Array<string> = []
    const logger = Logger.make((options) =>
      lines.push(JSON.stringify(Logger.formatStructured.log(options)))
    )
    return Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(
        runTarget(run),
        StopIntent.make({ reason: "user", note: "private words" })
      )
      yield* watcher.cancellation
      yield* faults.set({ all: Fault.fail })
      yield* Effect.forkChild(close(), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.isNotEmpty(lines)
      for (const line of lines) assert.notInclude(line, "private words")
    }).pipe(provided, Effect.provide(Logger.layer([logger])))
  })
})

describe("Bad input: what does not exist, and stores that answer nonsense", () => {
  it.effect("a stop for a message that does not exist is pending, and stops nobody", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      const [receipt] = yield* repo.requestStop(runTarget(runOf(refOf("nobody"), "1")), byUser)
      assert.strictEqual(receipt?._tag, "Pending")
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.check)
    }).pipe(provided)
  )

  it.effect("a store that fails a stop fails it with a typed error", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      for (const fault of [Fault.fail, Fault.die, Fault.malformed()]) {
        yield* faults.set({ requestStop: fault })
        const error = yield* Effect.flip(
          repo.requestStop(runTarget(runOf(refOf("a"), "1")), byUser)
        )
        assert.instanceOf(error, MessageStoreError)
      }
    }).pipe(provided)
  )

  const nonsense: Readonly<Record<string, unknown>> = {
    undefined: undefined,
    null: null,
    "a number": 7,
    "a string": "no",
    "an empty object": {},
    "an array of null": [null],
    "a look of nulls": { requests: null, gone: null, lost: null, failures: null, now: null },
    "a look with null rows": {
      requests: [null],
      gone: [null],
      lost: [null],
      failures: [null],
      now: 0
    },
    "a request without a run": {
      requests: [{ request: { userAbortedAt: 1, reason: "user" } }],
      gone: [],
      lost: [],
      failures: [],
      now: 0
    },
    "a request without a request": {
      requests: [{ run: runOf(refOf("a"), "a") }],
      gone: [],
      lost: [],
      failures: [],
      now: 0
    }
  }

  for (const [name, answer] of Object.entries(nonsense)) {
    it.effect(`a store that answers ${name} stops nothing, and a later stop is found`, () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        let sane = false
        const talk =
          <Args extends ReadonlyArray<unknown>, A, E>(
            operation: (...args: Args) => Effect.Effect<A, E>
          ) =>
          (...args: Args): Effect.Effect<A, E> =>
            sane ? operation(...args) : Effect.succeed(answer as A)
        const odd = MessageStore.of({
          ...store,
          stopRequests: talk(store.stopRequests),
          startRuns: talk(store.startRuns),
          advanceRuns: talk(store.advanceRuns),
          renewLease: talk(store.renewLease)
        })
        const repo = yield* openRepo().pipe(Effect.provideService(MessageStore, odd))
        const first = yield* openRun(repo, { ref: refOf("a"), runId: RunId.make("a") })
        const work = yield* Effect.never.pipe(
          first.watcher.runWithCancellation({ cancelResult: "stopped" }),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(work.pollUnsafe())
        assert.isFalse(yield* first.watcher.check)
        sane = true
        const second = yield* openRun(repo, { ref: refOf("b"), runId: RunId.make("b") })
        yield* TestClock.adjust("1 minute")
        yield* repo.requestStop(runTarget(second.run), byUser)
        yield* TestClock.adjust("4 seconds")
        assert.isTrue(yield* second.watcher.isCancelled)
        assert.isFalse(yield* first.watcher.isCancelled)
        sane = false
        const closing = yield* Effect.forkChild(Effect.all([first.close(), second.close()]), {
          startImmediately: true
        })
        yield* TestClock.adjust("1 minute")
        assert.isDefined(closing.pollUnsafe())
      }).pipe(Effect.provide(MessageStore.layerMemory()))
    )
  }
})
