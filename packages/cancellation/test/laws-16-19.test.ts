import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Fault, SignalFaults, StoreFaults } from "effect-cancellation-testing"
import {
  CancellationWatcher,
  type CancellationWatcherOptions,
  ChatId,
  CompanyId,
  ForgetQuery,
  InvalidSetting,
  MessageId,
  MessageRef,
  MessageRepo,
  type MessageRepoOptions,
  MessageStore,
  type Run,
  RunQuery,
  StopIntent,
  type StopReason,
  StopTarget,
  UserId
} from "../src/index.ts"
import {
  byUser,
  callsNow,
  callsSince,
  faultyMemory,
  messageTarget,
  openRepo,
  openRun,
  outcomeOf,
  receiptNow,
  recordOf,
  refOf,
  runIdOf,
  runOf,
  runTarget
} from "./fixture-2.ts"

const provided = Effect.provide(faultyMemory)
const withSignal = Effect.provide(Layer.merge(faultyMemory, SignalFaults.layer()))

describe("Law 16: Aim", () => {
  it.effect("a stop for one run touches no other run of the chat", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const a = yield* openRun(repo, { ref: refOf("a") })
      const b = yield* openRun(repo, { ref: refOf("b") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(runTarget(a.run), byUser)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* a.watcher.check)
      assert.isFalse(yield* b.watcher.check)
    }).pipe(provided)
  )

  it.effect("a stop for a chat reaches all that runs in it, and no other chat", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const a = yield* openRun(repo, { ref: refOf("a") })
      const b = yield* openRun(repo, { ref: refOf("b") })
      const other = yield* openRun(repo, { ref: refOf("a", "other") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(StopTarget.cases.Chat.make({ chatId: ChatId.make("chat") }), byUser)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* a.watcher.isCancelled)
      assert.isTrue(yield* b.watcher.isCancelled)
      assert.isFalse(yield* other.watcher.check)
    }).pipe(provided)
  )

  it.effect("after stop and regenerate the new run is clean", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(messageTarget(refOf("a")), byUser)
      yield* first.watcher.cancellation
      yield* first.close()
      const second = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* second.watcher.check)
      assert.strictEqual(yield* outcomeOf(first.run), "stopped")
    }).pipe(provided)
  )

  it.effect("a late stop for the old run does not reach the new one", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* TestClock.adjust("1 second")
      const second = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 second")
      const receipts = yield* repo.requestStop(runTarget(first.run), byUser)
      assert.deepStrictEqual(
        receipts.map(({ _tag }) => _tag),
        ["Superseded"]
      )
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* second.watcher.check)
      assert.isUndefined(yield* receiptNow(second.run))
    }).pipe(provided)
  )

  it.effect("a late stop for the old run that ended does not reach the new one", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* TestClock.adjust("1 second")
      yield* first.close()
      const second = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 second")
      const receipts = yield* repo.requestStop(runTarget(first.run), byUser)
      assert.deepStrictEqual(
        receipts.map(({ _tag }) => _tag),
        ["TooLate"]
      )
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* second.watcher.check)
    }).pipe(provided)
  )

  it.effect("a stop for the message reaches its current run only", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* TestClock.adjust("1 second")
      const second = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(messageTarget(refOf("a")), byUser)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* second.watcher.isCancelled)
      assert.isFalse(yield* first.watcher.check)
    }).pipe(provided)
  )

  it.effect("a job delivered again with the same runId finds itself still stopped", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(runTarget(first.run), byUser)
      yield* first.watcher.cancellation
      yield* first.close()
      const again = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      const event = yield* again.watcher.cancellation
      assert.strictEqual(event.detectedBy, "start")
      assert.strictEqual(event.request.reason, "user")
    }).pipe(provided)
  )

  it.effect("stop, regenerate, redelivery of the first: the second goes on", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(runTarget(first.run), byUser)
      yield* first.watcher.cancellation
      yield* first.close()
      const second = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 second")
      const again = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* again.watcher.cancellation
      yield* repo.requestStop(runTarget(first.run), byUser)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* second.watcher.check)
      // and the second is still the one that a stop of the message means
      yield* repo.requestStop(messageTarget(refOf("a")), byUser)
      yield* second.watcher.cancellation
    }).pipe(provided)
  )

  it.effect("a run whose process died is stopped when the job is delivered elsewhere", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const run = runOf(refOf("a"), "1")
      yield* store.startRuns([run])
      yield* store.requestStop(runTarget(run), byUser)
      const repo = yield* openRepo()
      const again = yield* openRun(repo, { ref: run.ref, runId: run.runId })
      yield* again.watcher.cancellation
      yield* again.close()
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
    }).pipe(provided)
  )

  it.effect("a redelivered run that checks first and ends at once is written as stopped", () =>
    Effect.gen(function* () {
      const { store } = yield* StoreFaults
      const run = runOf(refOf("a"), "1")
      yield* store.startRuns([run])
      yield* store.requestStop(runTarget(run), byUser)
      const repo = yield* openRepo()
      const again = yield* openRun(repo, { ref: run.ref, runId: run.runId })
      assert.isTrue(yield* again.watcher.check)
      yield* again.close()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
      assert.strictEqual(yield* outcomeOf(run), "stopped")
    }).pipe(provided)
  )

  it.effect("a stop that waited is taken by the first run of the message only", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* repo.requestStop(messageTarget(refOf("a")), byUser)
      const first = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("1") })
      yield* first.watcher.cancellation
      const second = yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("2") })
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* second.watcher.check)
    }).pipe(provided)
  )

  it.effect("an answer about runs nobody asked about stops nothing", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      yield* faults.set({ all: Fault.nonsense })
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* openRun(repo, { ref: refOf("a"), runId: runIdOf("a-run-nobody-asked-about") })
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.check)
    }).pipe(provided)
  )

  it.effect("an answer about another watched run, which was not asked about, stops nothing", () =>
    Effect.gen(function* () {
      const store = yield* MessageStore
      const stranger = runOf(refOf("b"), "b")
      const odd = MessageStore.of({
        ...store,
        stopRequests: (runs) =>
          Effect.map(store.stopRequests(runs), (look) => ({
            ...look,
            requests: runs.some((run) => run.ref.messageId === "a")
              ? [{ run: stranger, request: { userAbortedAt: 1, reason: "user" as const } }]
              : []
          }))
      })
      const repo = yield* openRepo().pipe(Effect.provideService(MessageStore, odd))
      const a = yield* openRun(repo, { ref: refOf("a") })
      const b = yield* openRun(repo, { ref: stranger.ref, runId: stranger.runId })
      // a look that asks about the first only, and is answered about the second
      assert.isFalse(yield* a.watcher.check)
      assert.isFalse(yield* b.watcher.isCancelled)
    }).pipe(provided)
  )

  describe("retarget", () => {
    const segments = Effect.fnUntraced(function* () {
      const repo = yield* openRepo()
      const turn = yield* openRun(repo, { ref: refOf("one"), runId: runIdOf("turn") })
      yield* TestClock.adjust("1 second")
      yield* turn.watcher.retarget(MessageId.make("two"))
      yield* turn.watcher.retarget(MessageId.make("three"))
      yield* TestClock.adjust("1 second")
      const [one, two, three] = [refOf("one"), refOf("two"), refOf("three")].map((ref) =>
        runOf(ref, "turn")
      )
      if (one === undefined || two === undefined || three === undefined) {
        return yield* Effect.die("unreachable")
      }
      return { repo, ...turn, one, two, three }
    })

    for (const stopped of ["one", "two", "three"] as const) {
      it.effect(
        `a stop of segment ${stopped} of three cancels the turn and is named by the event`,
        () =>
          Effect.gen(function* () {
            const turn = yield* segments()
            yield* turn.repo.requestStop(runTarget(turn[stopped]), byUser)
            yield* TestClock.adjust("2 seconds")
            const event = yield* turn.watcher.cancellation
            assert.deepStrictEqual(event.run, turn[stopped])
          }).pipe(provided)
      )

      it.effect(`a stop of segment ${stopped} of three is found by polling alone`, () =>
        Effect.gen(function* () {
          const { store } = yield* StoreFaults
          const turn = yield* segments()
          yield* store.requestStop(runTarget(turn[stopped]), byUser)
          yield* TestClock.adjust("2 seconds")
          assert.isTrue(yield* turn.watcher.isCancelled)
        }).pipe(provided)
      )

      it.effect(`a stop of segment ${stopped} of three is found by a check`, () =>
        Effect.gen(function* () {
          const { store } = yield* StoreFaults
          const turn = yield* segments()
          yield* store.requestStop(runTarget(turn[stopped]), byUser)
          assert.isTrue(yield* turn.watcher.check)
        }).pipe(provided)
      )
    }

    it.effect("the run watched now is the new segment, with the same runId and chat", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        assert.deepStrictEqual(yield* turn.watcher.run, turn.three)
        assert.strictEqual((yield* turn.watcher.run).ref.chatId, "chat")
      }).pipe(provided)
    )

    it.effect("company and user stay those of the turn", () =>
      Effect.gen(function* () {
        const repo = yield* openRepo()
        const ref = MessageRef.of({ companyId: "c", userId: "u", chatId: "x", messageId: "one" })
        const { watcher } = yield* openRun(repo, { ref })
        yield* watcher.retarget(MessageId.make("two"))
        const expected = MessageRef.of({ ...ref, messageId: "two" })
        assert.deepStrictEqual((yield* watcher.run).ref, expected)
      }).pipe(provided)
    )

    it.effect("all segments are in the one query of a tick", () =>
      Effect.gen(function* () {
        const { counts } = yield* StoreFaults
        yield* segments()
        const before = (yield* counts).stopRequests.rows.length
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual((yield* counts).stopRequests.rows.slice(before), [3, 3])
      }).pipe(provided)
    )

    it.effect("a stop that waits for the new segment is found at once", () =>
      Effect.gen(function* () {
        const repo = yield* openRepo()
        const { watcher } = yield* openRun(repo, { ref: refOf("one"), pollInterval: "1 hour" })
        yield* TestClock.adjust("1 second")
        yield* repo.requestStop(messageTarget(refOf("two")), byUser)
        yield* watcher.retarget(MessageId.make("two"))
        const event = yield* watcher.cancellation
        assert.strictEqual(event.run.ref.messageId, "two")
        assert.strictEqual(event.detectedBy, "start")
      }).pipe(provided)
    )

    it.effect("the new segment of a lookup is looked at at once", () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* openRepo()
        const { watcher } = yield* openRun(repo, { ref: refOf("one"), pollInterval: "1 hour" })
        yield* faults.begun("stopRequests", 1)
        yield* watcher.retarget(MessageId.make("two"))
        yield* faults.begun("stopRequests", 2)
        assert.strictEqual((yield* watcher.cancellation).run.ref.messageId, "two")
      }).pipe(
        Effect.provide(
          StoreFaults.layer(
            MessageStore.fromLookup((refs) =>
              Effect.succeed(
                refs.map((ref) => ({ ref, userAbortedAt: ref.messageId === "two" ? 1000 : null }))
              )
            )
          )
        )
      )
    )

    it.effect("a hint for an earlier segment is a hint for the turn", () =>
      Effect.gen(function* () {
        const { store } = yield* StoreFaults
        const signal = yield* SignalFaults
        const turn = yield* segments()
        yield* signal.begun("subscribe", 1)
        yield* store.requestStop(runTarget(turn.one), byUser)
        yield* signal.emit({ _tag: "Hint", run: turn.one })
        assert.strictEqual((yield* turn.watcher.cancellation).detectedBy, "hint")
      }).pipe(withSignal)
    )

    it.effect("after a stop it does nothing", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        yield* turn.repo.requestStop(runTarget(turn.three), byUser)
        yield* TestClock.adjust("2 seconds")
        const before = yield* callsNow
        yield* turn.watcher.retarget(MessageId.make("four"))
        assert.deepStrictEqual(yield* turn.watcher.run, turn.three)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* callsSince(before), {})
        assert.isUndefined(yield* recordOf(runOf(refOf("four"), "turn")))
      }).pipe(provided)
    )

    it.effect("back to an earlier segment starts nothing anew", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        const before = yield* callsNow
        yield* turn.watcher.retarget(MessageId.make("one"))
        assert.deepStrictEqual(yield* turn.watcher.run, turn.one)
        yield* TestClock.adjust("1 second")
        assert.isUndefined((yield* callsSince(before))["startRuns"])
      }).pipe(provided)
    )

    it.effect("a segment of another turn is not touched by a stop of this one", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        const other = yield* openRun(turn.repo, { ref: refOf("two"), runId: runIdOf("other") })
        yield* TestClock.adjust("1 second")
        yield* turn.repo.requestStop(runTarget(turn.three), byUser)
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(yield* turn.watcher.isCancelled)
        assert.isFalse(yield* other.watcher.check)
      }).pipe(provided)
    )

    it.effect("the outcome is written for every segment", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        yield* turn.close()
        const outcomes = yield* Effect.forEach([turn.one, turn.two, turn.three], outcomeOf)
        assert.deepStrictEqual(outcomes, ["completed", "completed", "completed"])
      }).pipe(provided)
    )

    it.effect("a stop of one segment ends all of them as stopped, and only that one as asked", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        yield* turn.repo.requestStop(runTarget(turn.two), byUser)
        yield* turn.watcher.cancellation
        yield* turn.close()
        const outcomes = yield* Effect.forEach([turn.one, turn.two, turn.three], outcomeOf)
        assert.deepStrictEqual(outcomes, ["stopped", "stopped", "stopped"])
        const receipts = yield* Effect.forEach([turn.one, turn.two, turn.three], receiptNow)
        assert.deepStrictEqual(
          receipts.map((receipt) => receipt?._tag),
          [undefined, "Ended", undefined]
        )
      }).pipe(provided)
    )

    it.effect("a turn that is over watches none of its segments", () =>
      Effect.gen(function* () {
        const turn = yield* segments()
        yield* turn.close()
        const before = yield* callsNow
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* callsSince(before), {})
      }).pipe(provided)
    )
  })
})

describe("Law 17: Tenants", () => {
  const ids = { companyId: "company", userId: "user", chatId: "chat", messageId: "message" }
  const own = runOf(MessageRef.of(ids), "run")
  const strangers = {
    company: runOf(MessageRef.of({ ...ids, companyId: "other" }), "run"),
    user: runOf(MessageRef.of({ ...ids, userId: "other" }), "run"),
    chat: runOf(MessageRef.of({ ...ids, chatId: "other" }), "run"),
    "no company": runOf(
      MessageRef.of({ userId: "user", chatId: "chat", messageId: "message" }),
      "run"
    ),
    "no user": runOf(
      MessageRef.of({ companyId: "company", chatId: "chat", messageId: "message" }),
      "run"
    ),
    "neither company nor user": runOf(
      MessageRef.of({ chatId: "chat", messageId: "message" }),
      "run"
    )
  }
  const { companyId, userId, chatId } = own.ref

  const targetsOf = (run: Run) => {
    const { messageId: _, ...chat } = run.ref
    return {
      run: runTarget(run),
      message: messageTarget(run.ref),
      chat: StopTarget.cases.Chat.make(chat)
    }
  }

  /** Two processes of two tenants on one store. */
  const both = Effect.fnUntraced(function* (stranger: Run) {
    const here = yield* openRepo()
    const there = yield* openRepo()
    const ownRun = yield* openRun(here, { ref: own.ref, runId: own.runId })
    const strange = yield* openRun(there, { ref: stranger.ref, runId: stranger.runId })
    yield* TestClock.adjust("1 second")
    return { here, there, ownRun, strange }
  })

  for (const [what, stranger] of Object.entries(strangers)) {
    for (const aim of ["run", "message", "chat"] as const) {
      it.effect(`a stop of a ${aim} with another ${what} stops only its own`, () =>
        Effect.gen(function* () {
          const { ownRun, strange, there } = yield* both(stranger)
          yield* there.requestStop(targetsOf(stranger)[aim], byUser)
          yield* TestClock.adjust("1 minute")
          assert.isTrue(yield* strange.watcher.isCancelled)
          assert.isFalse(yield* ownRun.watcher.check)
          assert.isUndefined(yield* receiptNow(own))
        }).pipe(withSignal)
      )

      it.effect(`a stop of a ${aim} that waits with another ${what} does not stop this run`, () =>
        Effect.gen(function* () {
          const repo = yield* openRepo()
          yield* repo.requestStop(targetsOf(stranger)[aim], byUser)
          const { watcher } = yield* openRun(repo, { ref: own.ref, runId: own.runId })
          yield* TestClock.adjust("10 seconds")
          assert.isFalse(yield* watcher.check)
        }).pipe(provided)
      )
    }

    it.effect(`refs with another ${what} do not find this run`, () =>
      Effect.gen(function* () {
        const repo = yield* openRepo()
        yield* openRun(repo, { ref: own.ref, runId: own.runId })
        yield* TestClock.adjust("1 second")
        const query = RunQuery.cases.Refs.make({ refs: [stranger.ref] })
        assert.deepStrictEqual(yield* repo.findRuns(query), [])
      }).pipe(provided)
    )

    it.effect(`the end of a run with another ${what} is not the end of this one`, () =>
      Effect.gen(function* () {
        const { ownRun, strange } = yield* both(stranger)
        yield* strange.close()
        assert.strictEqual(yield* outcomeOf(stranger), "completed")
        assert.isUndefined(yield* outcomeOf(ownRun.run))
      }).pipe(provided)
    )
  }

  it.effect("the chat, the company and the user of a query narrow it", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      for (const run of [own, ...Object.values(strangers)]) {
        yield* openRun(repo, { ref: run.ref, runId: run.runId })
      }
      yield* TestClock.adjust("1 second")
      const found = (query: RunQuery) =>
        Effect.map(repo.findRuns(query), (records) =>
          records.map(({ run }) =>
            [run.ref.companyId, run.ref.userId, run.ref.chatId].map((id) => id ?? "-").join(" ")
          )
        )
      const inCompany = { companyId: CompanyId.make("company") }
      assert.sameMembers(yield* found(RunQuery.cases.Company.make(inCompany)), [
        "company user chat",
        "company other chat",
        "company user other",
        "company - chat"
      ])
      assert.sameMembers(
        yield* found(RunQuery.cases.Company.make({ ...inCompany, userId: UserId.make("user") })),
        ["company user chat", "company user other"]
      )
      assert.sameMembers(
        yield* found(RunQuery.cases.Chat.make({ ...inCompany, chatId: ChatId.make("chat") })),
        ["company user chat", "company other chat", "company - chat"]
      )
      assert.sameMembers(
        yield* found(
          RunQuery.cases.Chat.make({ companyId, userId, chatId } as RunQuery & {
            _tag: "Chat"
          })
        ),
        ["company user chat"]
      )
      assert.sameMembers(yield* found(RunQuery.cases.Company.make({})), ["- user chat", "- - chat"])
    }).pipe(provided)
  )

  it.effect("erasing a user or a chat of another company erases nothing of this one", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: own.ref, runId: own.runId })
      yield* TestClock.adjust("1 second")
      const other = { companyId: CompanyId.make("other") }
      const erased = [
        yield* repo.forget(ForgetQuery.cases.User.make({ ...other, userId: UserId.make("user") })),
        yield* repo.forget(ForgetQuery.cases.User.make({ userId: UserId.make("user") })),
        yield* repo.forget(ForgetQuery.cases.Chat.make({ ...other, chatId: ChatId.make("chat") })),
        yield* repo.forget(ForgetQuery.cases.Chat.make({ chatId: ChatId.make("chat") }))
      ]
      assert.deepStrictEqual(erased, [0, 0, 0, 0])
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* watcher.check)
    }).pipe(provided)
  )

  it.effect("a hint of another tenant's run costs this one no look", () =>
    Effect.gen(function* () {
      const signal = yield* SignalFaults
      const repo = yield* openRepo()
      yield* openRun(repo, { ref: own.ref, runId: own.runId, pollInterval: "1 hour" })
      yield* signal.begun("subscribe", 1)
      yield* TestClock.adjust("1 second")
      const before = yield* callsNow
      for (const run of Object.values(strangers)) yield* signal.emit({ _tag: "Hint", run })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* callsSince(before), {})
    }).pipe(withSignal)
  )
})

describe("Law 18: Bad settings", () => {
  const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.exit(effect), (exit) => {
      if (Exit.isSuccess(exit)) return "no defect"
      const [reason, ...rest] = exit.cause.reasons
      assert.lengthOf(rest, 0)
      return reason !== undefined && Cause.isDieReason(reason) ? reason.defect : "no defect"
    })

  const dies = <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    expected: { readonly option: string; readonly value: string; readonly range: string }
  ) =>
    Effect.map(defectOf(effect), (defect) => {
      assert.instanceOf(defect, InvalidSetting)
      if (!(defect instanceof InvalidSetting)) return
      assert.deepStrictEqual(
        { option: defect.option, value: defect.value, range: defect.range },
        expected
      )
      assert.include(defect.message, expected.option)
      assert.include(defect.message, expected.value)
      assert.include(defect.message, expected.range)
    })

  // What TypeScript lets pass, and one that only JavaScript does.
  const nonsense = "nonsense" as Duration.Input
  const always: ReadonlyArray<readonly [Duration.Input, string]> = [
    [-1, "-1"],
    ["-5 seconds", "-5 seconds"],
    [Duration.seconds(-5), "-5s"],
    [Infinity, "Infinity"],
    [-Infinity, "-Infinity"],
    [Duration.infinity, "Infinity"],
    ["Infinity", "Infinity"],
    [Number.NaN, "NaN"],
    [{ seconds: Number.NaN }, `{"seconds":null}`],
    [nonsense, "nonsense"]
  ]
  const zero: ReadonlyArray<readonly [Duration.Input, string]> = [
    [0, "0"],
    ["0 seconds", "0 seconds"],
    [Duration.zero, "0"]
  ]
  const aboveZero = "a finite time above zero"
  const orZero = "a finite time, zero or above"

  const buildRepo = (options: MessageRepoOptions) =>
    Effect.scoped(Layer.build(MessageRepo.layerMemory(options)))
  const buildWatcher = (options: Omit<CancellationWatcherOptions, "ref">) =>
    Effect.scoped(
      Layer.build(
        Layer.provide(
          CancellationWatcher.layer({ ...options, ref: refOf("a") }),
          MessageRepo.layerMemory()
        )
      )
    )
  const call =
    (combinator: "runWithCancellation" | "streamWithCancellation") =>
    (options: { readonly pollInterval?: Duration.Input; readonly gracePeriod?: Duration.Input }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const repo = yield* openRepo()
          const { watcher } = yield* openRun(repo, { ref: refOf("a") })
          yield* combinator === "runWithCancellation"
            ? watcher.runWithCancellation(Effect.void, options)
            : Stream.runDrain(watcher.streamWithCancellation(Stream.make(1), options))
        })
      ).pipe(provided)

  const settings: ReadonlyArray<
    readonly [
      where: string,
      option: string,
      range: string,
      build: (value: Duration.Input) => Effect.Effect<unknown, unknown>
    ]
  > = [
    ["the repo", "pollTimeout", aboveZero, (pollTimeout) => buildRepo({ pollTimeout })],
    ["the repo", "leaseTtl", aboveZero, (leaseTtl) => buildRepo({ leaseTtl })],
    [
      "the repo",
      "finalWriteTimeout",
      aboveZero,
      (finalWriteTimeout) => buildRepo({ finalWriteTimeout })
    ],
    ["the repo", "maxBlind", aboveZero, (maxBlind) => buildRepo({ maxBlind })],
    ["the watcher", "pollInterval", aboveZero, (pollInterval) => buildWatcher({ pollInterval })],
    ["the watcher", "handlerTimeout", orZero, (handlerTimeout) => buildWatcher({ handlerTimeout })],
    ["the watcher", "gracePeriod", orZero, (gracePeriod) => buildWatcher({ gracePeriod })],
    [
      "runWithCancellation",
      "pollInterval",
      aboveZero,
      (pollInterval) => call("runWithCancellation")({ pollInterval })
    ],
    [
      "runWithCancellation",
      "gracePeriod",
      orZero,
      (gracePeriod) => call("runWithCancellation")({ gracePeriod })
    ],
    [
      "streamWithCancellation",
      "pollInterval",
      aboveZero,
      (pollInterval) => call("streamWithCancellation")({ pollInterval })
    ],
    [
      "streamWithCancellation",
      "gracePeriod",
      orZero,
      (gracePeriod) => call("streamWithCancellation")({ gracePeriod })
    ],
    [
      "the store in memory",
      "tombstoneTtl",
      aboveZero,
      (tombstoneTtl) => Effect.scoped(Layer.build(MessageStore.layerMemory({ tombstoneTtl })))
    ],
    [
      "drain",
      "timeout",
      orZero,
      (timeout) =>
        Effect.scoped(Effect.flatMap(openRepo(), (repo) => repo.drain({ timeout }))).pipe(provided)
    ]
  ]

  for (const [where, option, range, build] of settings) {
    for (const [value, shown] of range === aboveZero ? [...always, ...zero] : always) {
      it.effect(
        `${where} dies of ${option} ${Schema.is(Schema.String)(value) ? `"${value}"` : shown}`,
        () => dies(build(value), { option, value: shown, range })
      )
    }
    it.effect(`${where} takes a ${option} of one second`, () =>
      Effect.map(Effect.exit(build("1 second")), (exit) => assert.isTrue(Exit.isSuccess(exit)))
    )
    if (range === orZero) {
      it.effect(`${where} takes a ${option} of zero`, () =>
        Effect.map(Effect.exit(build(0)), (exit) => assert.isTrue(Exit.isSuccess(exit)))
      )
    }
  }

  for (const chunkSize of [0, -1, 1.5, Infinity, Number.NaN, 2 ** 53]) {
    it.effect(`the repo dies of chunkSize ${chunkSize}`, () =>
      dies(buildRepo({ chunkSize }), {
        option: "chunkSize",
        value: String(chunkSize),
        range: "a whole number above zero"
      })
    )
  }

  it.effect("the repo dies of a chunkSize that is no number", () =>
    dies(buildRepo({ chunkSize: "nonsense" as unknown as number }), {
      option: "chunkSize",
      value: "nonsense",
      range: "a whole number above zero"
    })
  )

  it.effect("a run with a bad setting is never started in the store", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      yield* defectOf(openRun(repo, { ref: refOf("a"), pollInterval: 0 }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* callsSince({}), {})
    }).pipe(provided)
  )

  it.effect("a call with a bad setting does not start its work", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { watcher } = yield* openRun(repo, { ref: refOf("a") })
      let started = false
      const work = Effect.sync(() => {
        started = true
      })
      yield* defectOf(watcher.runWithCancellation(work, { pollInterval: Number.NaN }))
      yield* defectOf(
        Stream.runDrain(
          watcher.streamWithCancellation(Stream.fromEffect(work), { gracePeriod: -1 })
        )
      )
      assert.isFalse(started)
    }).pipe(provided)
  )

  it.effect("a drain with a bad timeout drains nothing", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const running = yield* openRun(repo, { ref: refOf("a") })
      yield* defectOf(repo.drain({ timeout: Number.NaN }))
      const { watcher } = yield* openRun(repo, { ref: refOf("b") })
      assert.isFalse(yield* running.watcher.isCancelled)
      assert.isFalse(yield* watcher.isCancelled)
    }).pipe(provided)
  )
})

describe("Law 19: Receipts tell the truth", () => {
  it.effect(
    "requested, until the watcher has seen it; observed, until the run is over; ended",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* openRepo()
        const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
        yield* TestClock.adjust("1 second")
        assert.isUndefined(yield* receiptNow(run))
        yield* faults.set({ reads: Fault.stale })
        const [receipt] = yield* repo.requestStop(runTarget(run), byUser)
        assert.strictEqual(receipt?._tag, "Requested")
        yield* TestClock.adjust("10 seconds")
        assert.isFalse(yield* watcher.isCancelled)
        assert.strictEqual((yield* receiptNow(run))?._tag, "Requested")
        yield* faults.heal
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(yield* watcher.isCancelled)
        const observed = yield* receiptNow(run)
        assert.strictEqual(observed?._tag, "Observed")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* receiptNow(run), observed)
        yield* close()
        const ended = yield* receiptNow(run)
        assert.strictEqual(ended?._tag, "Ended")
        if (ended?._tag !== "Ended" || observed?._tag !== "Observed") return
        assert.strictEqual(ended.outcome, "stopped")
        assert.strictEqual(ended.observedAt, observed.observedAt)
        assert.isAtLeast(ended.endedAt - observed.observedAt, Duration.toMillis("1 hour"))
      }).pipe(provided)
  )

  it.effect("pressing Stop again answers how far it has come", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      const press = Effect.map(repo.requestStop(runTarget(run), byUser), ([one]) => one?._tag)
      const tags = [yield* press]
      yield* watcher.cancellation
      yield* TestClock.adjust("1 second")
      tags.push(yield* press)
      yield* close()
      tags.push(yield* press)
      assert.deepStrictEqual(tags, ["Requested", "Observed", "Ended"])
    }).pipe(provided)
  )

  it.effect("observed is not written while a slow look is still on its way", () =>
    Effect.gen(function* () {
      const faults = yield* StoreFaults
      const repo = yield* openRepo()
      const { run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* faults.set({ reads: Fault.late("3 seconds") })
      yield* repo.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(yield* watcher.isCancelled)
      assert.strictEqual((yield* receiptNow(run))?._tag, "Requested")
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* watcher.isCancelled)
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
    }).pipe(provided)
  )

  it.effect("observed is written while the work is still winding down", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      const work = yield* Effect.never.pipe(
        Effect.ensuring(Effect.sleep("1 minute")),
        watcher.runWithCancellation(),
        Effect.forkChild({ startImmediately: true })
      )
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(work.pollUnsafe())
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(work)
    }).pipe(provided)
  )

  it.effect(
    "work that ended before its stop was seen is completed, and the stop came too late",
    () =>
      Effect.gen(function* () {
        const faults = yield* StoreFaults
        const repo = yield* openRepo()
        const { close, run } = yield* openRun(repo, { ref: refOf("a") })
        yield* TestClock.adjust("1 second")
        yield* faults.set({ reads: Fault.stale })
        yield* repo.requestStop(runTarget(run), byUser)
        yield* close()
        const receipt = yield* receiptNow(run)
        assert.strictEqual(receipt?._tag, "TooLate")
        assert.strictEqual(yield* outcomeOf(run), "completed")
        const [pressed] = yield* repo.requestStop(runTarget(run), byUser)
        assert.deepStrictEqual(pressed, receipt)
      }).pipe(provided)
  )

  it.effect("a stop after the end is too late, and is not written", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close, run } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* close()
      const [receipt] = yield* repo.requestStop(runTarget(run), byUser)
      assert.strictEqual(receipt?._tag, "TooLate")
      assert.isUndefined((yield* recordOf(run))?.request)
    }).pipe(provided)
  )

  it.effect("a stop for a run that has not begun is pending, and then taken up", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const run = runOf(refOf("a"), "1")
      const [receipt] = yield* repo.requestStop(runTarget(run), byUser)
      assert.strictEqual(receipt?._tag, "Pending")
      const { watcher } = yield* openRun(repo, { ref: run.ref, runId: run.runId })
      yield* watcher.cancellation
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
    }).pipe(provided)
  )

  it.effect("a pending stop expires", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const run = runOf(refOf("a"), "1")
      yield* repo.requestStop(runTarget(run), byUser)
      yield* TestClock.adjust("30 seconds")
      const { watcher } = yield* openRun(repo, { ref: run.ref, runId: run.runId })
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* watcher.check)
    }).pipe(provided)
  )

  it.effect("work that was given up is abandoned, and the receipt says so", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, {
        ref: refOf("a"),
        gracePeriod: "10 seconds"
      })
      yield* TestClock.adjust("1 second")
      const work = yield* Effect.sleep("1 hour").pipe(
        Effect.uninterruptible,
        watcher.runWithCancellation(),
        Effect.forkChild({ startImmediately: true })
      )
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(work.pollUnsafe())
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(work), Option.none())
      yield* close()
      const receipt = yield* receiptNow(run)
      assert.strictEqual(receipt?._tag, "Ended")
      if (receipt?._tag === "Ended") assert.strictEqual(receipt.outcome, "abandoned")
      yield* TestClock.adjust("1 hour")
    }).pipe(provided)
  )

  const exits: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, string]> = [
    ["a success", Exit.void, "completed"],
    ["a failure", Exit.fail("no"), "failed"],
    ["a defect", Exit.die("no"), "failed"],
    ["an interruption", Exit.interrupt(1), "interrupted"],
    [
      "a failure and an interruption",
      Exit.failCause(Cause.combine(Cause.fail("no"), Cause.interrupt(1))),
      "failed"
    ]
  ]
  for (const [name, exit, outcome] of exits) {
    it.effect(`a run that ends with ${name} is ${outcome}`, () =>
      Effect.gen(function* () {
        const repo = yield* openRepo()
        const { close, run } = yield* openRun(repo, { ref: refOf("a") })
        yield* TestClock.adjust("1 second")
        assert.isUndefined(yield* outcomeOf(run))
        yield* close(exit)
        assert.strictEqual(yield* outcomeOf(run), outcome)
      }).pipe(provided)
    )

    it.effect(`a stopped run that ends with ${name} is stopped`, () =>
      Effect.gen(function* () {
        const repo = yield* openRepo()
        const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
        yield* TestClock.adjust("1 second")
        yield* repo.requestStop(runTarget(run), byUser)
        yield* watcher.cancellation
        yield* close(exit)
        assert.strictEqual(yield* outcomeOf(run), "stopped")
      }).pipe(provided)
    )
  }

  const reasons: ReadonlyArray<readonly [StopReason, string]> = [
    ["user", "stopped"],
    ["disconnect", "stopped"],
    ["parent", "stopped"],
    ["other:quota", "stopped"],
    ["deadline", "interrupted"],
    ["shutdown", "interrupted"],
    ["deleted", "interrupted"],
    ["unreachable", "interrupted"]
  ]
  for (const [reason, outcome] of reasons) {
    it.effect(
      `a run cancelled from inside for ${reason} ends as ${outcome}, and no stop is made up`,
      () =>
        Effect.gen(function* () {
          const repo = yield* openRepo()
          const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
          yield* TestClock.adjust("1 second")
          const before = yield* callsNow
          yield* watcher.cancel(reason)
          const event = yield* watcher.cancellation
          assert.strictEqual(event.request.reason, reason)
          assert.strictEqual(event.detectedBy, "local")
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(yield* callsSince(before), {})
          yield* close()
          const record = yield* recordOf(run)
          assert.strictEqual(record?.outcome, outcome)
          assert.isUndefined(record?.request)
          assert.isUndefined(record?.observedAt)
        }).pipe(provided)
    )

    it.effect(
      `a run stopped from outside for ${reason} ends as ${outcome}, and its receipt as ended`,
      () =>
        Effect.gen(function* () {
          const repo = yield* openRepo()
          const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
          yield* TestClock.adjust("1 second")
          yield* repo.requestStop(runTarget(run), StopIntent.make({ reason }))
          assert.strictEqual((yield* watcher.cancellation).request.reason, reason)
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
          yield* close()
          const receipt = yield* receiptNow(run)
          assert.strictEqual(receipt?._tag, "Ended")
          if (receipt?._tag === "Ended") assert.strictEqual(receipt.outcome, outcome)
        }).pipe(provided)
    )

    it.effect(
      `a run stopped from outside for ${reason} that ends in the same step was stopped in time`,
      () =>
        Effect.gen(function* () {
          const repo = yield* openRepo()
          const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
          yield* TestClock.adjust("1 second")
          const work = yield* Effect.never.pipe(
            watcher.runWithCancellation(),
            Effect.ensuring(close()),
            Effect.forkChild({ startImmediately: true })
          )
          yield* repo.requestStop(runTarget(run), StopIntent.make({ reason }))
          yield* Fiber.join(work)
          const receipt = yield* receiptNow(run)
          assert.strictEqual(receipt?._tag, "Ended")
          if (receipt?._tag === "Ended") assert.strictEqual(receipt.outcome, outcome)
        }).pipe(provided)
    )
  }

  it.effect("a stop that comes after a local cancellation is closed by its outcome", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* watcher.cancel("deadline")
      const [receipt] = yield* repo.requestStop(runTarget(run), byUser)
      assert.strictEqual(receipt?._tag, "Requested")
      yield* close()
      const closed = yield* receiptNow(run)
      assert.include(["Ended", "TooLate"], closed?._tag)
      assert.strictEqual(yield* outcomeOf(run), "interrupted")
    }).pipe(provided)
  )

  it.effect("the first outcome stays, of two processes that have the same run", () =>
    Effect.gen(function* () {
      const run = { ref: refOf("a"), runId: runIdOf("1") }
      const first = yield* openRun(yield* openRepo(), run)
      const again = yield* openRun(yield* openRepo(), run)
      yield* TestClock.adjust("1 second")
      yield* first.close()
      const record = yield* recordOf(first.run)
      assert.strictEqual(record?.outcome, "completed")
      yield* TestClock.adjust("1 second")
      yield* again.close(Exit.fail("no"))
      assert.deepStrictEqual(yield* recordOf(first.run), record)
    }).pipe(provided)
  )

  it.effect("a run that is open twice in one process is over when both are", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const run = { ref: refOf("a"), runId: runIdOf("1") }
      const first = yield* openRun(repo, run)
      const again = yield* openRun(repo, run)
      yield* TestClock.adjust("1 second")
      yield* first.close()
      assert.isUndefined((yield* recordOf(first.run))?.outcome)
      yield* repo.requestStop(runTarget(again.run), byUser)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* again.watcher.isCancelled)
      yield* again.close()
      assert.strictEqual((yield* recordOf(first.run))?.outcome, "stopped")
    }).pipe(provided)
  )

  it.effect("a run that closes before its scope's finalizers is not yet over", () =>
    Effect.gen(function* () {
      const repo = yield* openRepo()
      const { close, run, watcher } = yield* openRun(repo, { ref: refOf("a") })
      yield* TestClock.adjust("1 second")
      yield* repo.requestStop(runTarget(run), byUser)
      yield* watcher.cancellation
      yield* TestClock.adjust("1 second")
      // a handler that is under way holds the end of the run
      yield* watcher
        .onCancellation(() => Effect.sleep("3 seconds"))
        .pipe(Effect.forkScoped({ startImmediately: true }))
      const closing = yield* Effect.forkChild(close(), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* receiptNow(run))?._tag, "Observed")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* receiptNow(run))?._tag, "Ended")
    }).pipe(provided)
  )
})
