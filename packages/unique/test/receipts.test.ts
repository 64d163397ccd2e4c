// How far a stop has come, as far as the messages of the platform show it.
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  ChatId,
  CompanyId,
  MessageId,
  type MessageRef,
  ProcessId,
  receiptOf,
  RunQuery,
  StopIntent,
  StopTarget,
  type MessageStoreError,
  UserId
} from "effect-cancellation"

import { ada, eve, html, isList, json, open, openRepo, refOf } from "./store.fixture.ts"

const at = (seconds: number) => new Date(Date.UTC(2026, 10, 29, 12, 0, seconds)).toISOString()
const millis = (seconds: number) => Date.parse(at(seconds))

const Refs = (...refs: ReadonlyArray<MessageRef>) => RunQuery.cases.Refs.make({ refs })
const owner = { companyId: CompanyId.make(ada.companyId), userId: UserId.make(ada.userId) }
const Chat = (fields: { readonly messageId?: MessageId; readonly runningOnly?: boolean } = {}) =>
  RunQuery.cases.Chat.make({ ...owner, chatId: ChatId.make("chat"), ...fields })

const reasonOf = <A>(call: Effect.Effect<A, MessageStoreError>) =>
  Effect.map(Effect.flip(call), ({ reason }) => reason)

describe("the receipt", () => {
  const begun = { createdAt: at(0), startedStreamingAt: at(1) }
  const pressed = { ...begun, userAbortedAt: at(10) }
  const request = { userAbortedAt: millis(10), reason: "user" }
  const states = [
    ["running: none", begun, undefined],
    ["completed: none", { ...begun, completedAt: at(5) }, undefined],
    ["requested", pressed, { _tag: "Requested", request }],
    [
      "requested, where the words had ended before it and the rest has not",
      { ...pressed, stoppedStreamingAt: at(9) },
      { _tag: "Requested", request }
    ],
    [
      "observed, as soon as the words end",
      { ...pressed, stoppedStreamingAt: at(11) },
      { _tag: "Observed", request, observedAt: millis(11) }
    ],
    [
      "observed in the millisecond of the stop",
      { ...pressed, stoppedStreamingAt: at(10) },
      { _tag: "Observed", request, observedAt: millis(10) }
    ],
    [
      "ended, stopped",
      { ...pressed, stoppedStreamingAt: at(11), completedAt: at(12) },
      { _tag: "Ended", request, observedAt: millis(11), endedAt: millis(12), outcome: "stopped" }
    ],
    [
      "ended, stopped, by a program that writes no end of the words",
      { ...pressed, completedAt: at(12) },
      { _tag: "Ended", request, observedAt: millis(12), endedAt: millis(12), outcome: "stopped" }
    ],
    [
      "ended, stopped, where the stop came after the words",
      { ...pressed, stoppedStreamingAt: at(9), completedAt: at(12) },
      { _tag: "Ended", request, observedAt: millis(12), endedAt: millis(12), outcome: "stopped" }
    ],
    [
      "too late, where all was over before",
      { ...pressed, stoppedStreamingAt: at(8), completedAt: at(9) },
      { _tag: "TooLate", request, endedAt: millis(9), outcome: "completed" }
    ]
  ] as const
  for (const [name, fields, expected] of states) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { add, platform, store } = yield* open()
        const { ref } = add()
        platform.patchState(ref.messageId, fields)
        const repo = yield* openRepo(store)
        const [record, ...others] = yield* repo.findRuns(Refs(ref))
        assert.isDefined(record)
        assert.strictEqual(others.length, 0)
        assert.deepStrictEqual(record.run.ref, ref)
        assert.strictEqual(String(record.run.runId), ref.messageId)
        assert.isTrue(record.current)
        assert.strictEqual(record.startedAt, millis(1))
        const isOver = "completedAt" in fields
        assert.strictEqual(record.outcome !== undefined, isOver)
        const receipt = receiptOf(record)
        assert.deepStrictEqual(
          receipt === undefined ? undefined : JSON.parse(JSON.stringify(receipt)),
          expected === undefined
            ? undefined
            : { ...expected, run: JSON.parse(JSON.stringify(record.run)) }
        )
        const running = yield* store.findRuns(
          RunQuery.cases.Refs.make({ refs: [ref], runningOnly: true })
        )
        assert.strictEqual(running.length, isOver ? 0 : 1)
      }).pipe(Effect.scoped)
    )
  }
})

describe("runs that are found", () => {
  it.live("are the assistant's messages, oldest first, of those asked for", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const second = add({ createdAt: at(2) }).ref
      const first = add({ createdAt: at(5), startedStreamingAt: at(1) }).ref
      const third = add({ createdAt: at(3), userAbortedAt: at(4), completedAt: at(5) }).ref
      const user = add({ role: "USER" }).ref
      const elsewhere = add({ chatId: "other", createdAt: at(4) }).ref
      const foreign = add({ ...eve, createdAt: at(1) }).ref
      const idsOf = (query: RunQuery) =>
        Effect.map(store.findRuns(query), (found) => found.map(({ run }) => run.ref.messageId))
      assert.deepStrictEqual(
        yield* idsOf(Chat()),
        [first, second, third].map(({ messageId }) => messageId)
      )
      assert.deepStrictEqual(yield* idsOf(Chat({ messageId: second.messageId })), [
        second.messageId
      ])
      assert.deepStrictEqual(yield* idsOf(Chat({ runningOnly: true })), [
        first.messageId,
        second.messageId
      ])
      platform.clear()
      assert.deepStrictEqual(yield* idsOf(Refs(third, elsewhere, first, user, third)), [
        first.messageId,
        third.messageId,
        elsewhere.messageId
      ])
      // One read for each chat.
      assert.strictEqual(platform.requests.length, 2)
      // Another tenant's are as if they were not there.
      assert.deepStrictEqual(
        yield* idsOf(Refs(refOf({ ...ada, chatId: "chat", id: foreign.messageId }))),
        []
      )
      assert.deepStrictEqual(yield* idsOf(Refs(foreign)), [foreign.messageId])
      assert.deepStrictEqual(yield* idsOf(Refs()), [])
    }).pipe(Effect.scoped)
  )

  it.live("have begun when they were made, if nobody says more, and at some time in any case", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const { ref } = add({ createdAt: at(2) })
      const begun = Effect.map(store.findRuns(Refs(ref)), ([found]) => found?.startedAt)
      assert.strictEqual(yield* begun, millis(2))
      platform.patchState(ref.messageId, { createdAt: null })
      assert.strictEqual(yield* begun, 0)
    }).pipe(Effect.scoped)
  )

  for (const field of [
    "userAbortedAt",
    "completedAt",
    "stoppedStreamingAt",
    "startedStreamingAt",
    "createdAt"
  ]) {
    for (const value of ["", 0, false, "yes", "2026-11-29", "0001-01-01T00:00:00Z", {}]) {
      it.live(`are not made of a malformed time: ${field} ${JSON.stringify(value)}`, () =>
        Effect.gen(function* () {
          const { add, platform, store } = yield* open()
          const [odd, good] = [add().ref, add().ref]
          platform.patchState(odd.messageId, { [field]: value })
          const reason = yield* reasonOf(store.findRuns(Refs(odd)))
          assert.strictEqual(reason._tag, "MalformedRow")
          assert.include(reason.message, odd.messageId)
          assert.include(reason.message, field)
          assert.strictEqual((yield* reasonOf(store.findRuns(Chat())))._tag, "MalformedRow")
          // It stands in nobody else's way.
          assert.strictEqual((yield* store.findRuns(Refs(good))).length, 1)
        }).pipe(Effect.scoped)
      )
    }
  }

  it.live("leave none out without a word", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const { ref } = add({ id: "m" })
      let rows: ReadonlyArray<unknown> = []
      platform.respond((request) =>
        isList(request) ? json(200, { object: "list", data: rows }) : undefined
      )
      const found = (...asked: ReadonlyArray<MessageRef>) =>
        store.findRuns(Refs(...asked)).pipe(
          Effect.map((found) => found.length),
          Effect.catch(({ reason }) => Effect.succeed(reason._tag))
        )
      const good = platform.message("m")
      for (const unnamed of [null, "m", 17, [], {}, { id: "" }, { id: 5 }, { role: "ASSISTANT" }]) {
        rows = [good, unnamed]
        assert.strictEqual(yield* found(ref), 1)
        assert.strictEqual(yield* reasonTag(store.findRuns(Chat())), "MalformedRow")
        rows = [unnamed]
        assert.strictEqual(yield* found(ref), "MalformedRow", JSON.stringify(unnamed))
      }
      for (const own of [
        { id: "m", role: 5 },
        { id: "m", chatId: "other", role: "ASSISTANT" },
        { id: "m", responseTurnId: {} }
      ]) {
        rows = [own]
        assert.strictEqual(yield* found(ref), "MalformedRow", JSON.stringify(own))
        rows = [good, own]
        assert.strictEqual(yield* found(ref), "MalformedRow", JSON.stringify(own))
      }
      rows = [{ id: "x", role: 5 }]
      assert.strictEqual(yield* found(ref), 0)
      rows = [{ id: "y\u0000", role: "ASSISTANT" }]
      assert.strictEqual(yield* reasonTag(store.findRuns(Chat())), "MalformedRow")
    }).pipe(Effect.scoped)
  )

  it.live("are none where the platform did not answer", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open({ pollTimeout: "100 millis" })
      const { ref } = add()
      for (const trouble of [html(200), json(200, {}), json(404, {}), "reset", "hang"] as const) {
        const end = platform.respond(() => trouble)
        for (const query of [Refs(ref), Chat()]) {
          assert.strictEqual(yield* reasonTag(store.findRuns(query)), "StoreUnavailable")
        }
        end()
      }
    }).pipe(Effect.scoped)
  )
})

const reasonTag = <A>(call: Effect.Effect<A, MessageStoreError>) =>
  Effect.map(reasonOf(call), ({ _tag }) => _tag)

describe("what the platform has no call for", () => {
  it.live("is unsupported, and the error says why, without a request", () =>
    Effect.gen(function* () {
      const { add, platform, store } = yield* open()
      const run = add()
      const lease = { owner: ProcessId.make("p"), ttl: Duration.seconds(30) }
      const chatId = ChatId.make("chat")
      const calls = [
        [
          "requestStop",
          store.requestStop(
            StopTarget.cases.Message.make({ ref: run.ref }),
            StopIntent.make({ reason: "user" })
          ),
          /only the platform's own page sets userAbortedAt/
        ],
        ["startRuns", store.startRuns([run]), /keeps messages, and neither runs nor/],
        ["advanceRuns", store.advanceRuns([{ run, to: "observed" }]), /neither runs nor/],
        ["renewLease", store.renewLease(lease), /nor the processes that write them/],
        ["sweepLost", store.sweepLost, /nor the processes that write them/],
        [
          "forget",
          store.forget({ _tag: "Chat", chatId }),
          /erases its chats and messages by itself/
        ],
        [
          "findRuns of a company",
          store.findRuns(RunQuery.cases.Company.make(owner)),
          /no call for all chats of a company/
        ],
        [
          "findRuns of a chat without its user",
          store.findRuns(
            RunQuery.cases.Chat.make({
              companyId: owner.companyId,
              chatId,
              messageId: MessageId.make("m")
            })
          ),
          /asks whose chat it is/
        ]
      ] as const
      for (const [operation, call, why] of calls) {
        const error = yield* Effect.flip<unknown, MessageStoreError, never>(call)
        assert.strictEqual(error.reason._tag, "Unsupported", operation)
        assert.match(error.message, why)
        assert.include(error.message, `does not support ${operation}: `)
      }
      assert.deepStrictEqual(store.supports, {
        runs: false,
        stops: false,
        find: true,
        leases: false,
        erasure: false,
        hints: false
      })
      assert.strictEqual(platform.requests.length, 0)
    }).pipe(Effect.scoped)
  )
})
