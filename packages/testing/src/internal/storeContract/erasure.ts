import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { ForgetQuery, runKey, UserId } from "effect-cancellation"
import {
  aims,
  clockTicks,
  type Contract,
  freshChat,
  freshId,
  freshRun,
  recordOf,
  recordsOf,
  runKeys,
  runOf,
  standing,
  start,
  stop,
  stopOfRun,
  type Store,
  timeOf
} from "./contract.ts"

const { Chat, EndedBefore, User } = ForgetQuery.cases

/** Two users in one chat and one of them in another, each with a run that runs and one that ended. */
const arranged = Effect.fnUntraced(function* (store: Store) {
  const ada = freshChat()
  const bob = { ...ada, userId: UserId.make(freshId()) }
  const adaElsewhere = { ...ada, chatId: freshChat().chatId }
  const both = { ada: pair(ada), bob: pair(bob), adaElsewhere: pair(adaElsewhere) }
  const all = Object.values(both).flat()
  yield* store.startRuns(all)
  yield* Effect.forEach(all, (run) => stop(store, stopOfRun(run)))
  const ended = Object.values(both).map(([, run]) => ({ run, to: "completed" as const }))
  yield* store.advanceRuns(ended)
  return { where: ada, all, ...both }
})

const pair = (where: ReturnType<typeof freshChat>) => [freshRun(where), freshRun(where)] as const

const goneOf = (store: Store, runs: Parameters<Store["stopRequests"]>[0]) =>
  Effect.map(store.stopRequests(runs), ({ gone }) => runKeys(gone))

export const erasure = ({ group }: Contract) =>
  group("forget", (test) => {
    test(
      ["runs", "stops", "erasure"],
      "erases a user's runs in all chats, running or not",
      (store) =>
        Effect.gen(function* () {
          const { ada, adaElsewhere, all, where } = yield* arranged(store)
          const { companyId, userId } = where
          const query = User.make({ companyId, userId })
          assert.strictEqual(yield* store.forget(query), 4)
          assert.deepStrictEqual(yield* goneOf(store, all), runKeys([...ada, ...adaElsewhere]))
          assert.strictEqual(yield* store.forget(query), 0)
        })
    )

    test(
      ["runs", "stops", "erasure"],
      "erases a user's part of a chat, or all of the chat",
      (store) =>
        Effect.gen(function* () {
          const { ada, all, bob, where } = yield* arranged(store)
          assert.strictEqual(yield* store.forget(Chat.make(where)), 2)
          assert.deepStrictEqual(yield* goneOf(store, all), runKeys(ada))
          const { companyId, chatId } = where
          assert.strictEqual(yield* store.forget(Chat.make({ companyId, chatId })), 2)
          assert.deepStrictEqual(yield* goneOf(store, all), runKeys([...ada, ...bob]))
        })
    )

    test(["runs", "erasure"], "erases what ended before a time, and nothing that runs", (store) =>
      Effect.gen(function* () {
        const [early, late, running] = [freshRun(), freshRun(), freshRun()]
        yield* store.startRuns([early, late, running])
        yield* store.advanceRuns([{ run: early, to: "completed" }])
        const time = yield* clockTicks(store)
        yield* store.advanceRuns([{ run: late, to: "completed" }])
        assert.isAtLeast(yield* store.forget(EndedBefore.make({ time })), 1)
        assert.deepStrictEqual(yield* goneOf(store, [early, late, running]), [runKey(early)])
        yield* clockTicks(store)
        yield* store.forget(EndedBefore.make({ time: yield* timeOf(store) }))
        assert.deepStrictEqual(yield* goneOf(store, [early, late, running]), runKeys([early, late]))
      })
    )

    test(
      ["runs", "stops", "erasure"],
      "erases the stops that wait, with their user or chat",
      (store) =>
        Effect.gen(function* () {
          for (const [aim, target] of aims) {
            const [ofUser, ofChat, kept] = [freshRun(), freshRun(), freshRun()]
            for (const run of [ofUser, ofChat, kept]) yield* stop(store, target(run), "ada")
            const { companyId, userId } = { ...freshChat(), ...ofUser.ref }
            assert.strictEqual(yield* store.forget(User.make({ companyId, userId })), 0)
            const { messageId: _messageId, ...chat } = ofChat.ref
            assert.strictEqual(yield* store.forget(Chat.make(chat)), 0)
            assert.isUndefined((yield* start(store, ofUser)).request, aim)
            assert.isUndefined((yield* start(store, ofChat)).request, aim)
            assert.strictEqual((yield* start(store, kept)).request?.requestedBy, "ada", aim)
          }
        })
    )

    test(["runs", "erasure"], "is final: a late write does not bring a run back", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* start(store, run)
        const { messageId: _messageId, ...chat } = run.ref
        yield* store.forget(Chat.make(chat))
        const late = yield* store.advanceRuns([
          { run, to: "observed" },
          { run, to: "completed" }
        ])
        assert.deepStrictEqual(late, [])
        assert.deepStrictEqual(yield* goneOf(store, [run]), [runKey(run)])
      })
    )

    test(["runs", "erasure", "find"], "leaves no trace for findRuns", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* store.startRuns([run, runOf(run.ref)])
        const { messageId: _messageId, ...chat } = run.ref
        assert.strictEqual(yield* store.forget(Chat.make(chat)), 2)
        assert.deepStrictEqual(yield* recordsOf(store, [run]), [])
      })
    )

    test(
      ["runs", "stops", "erasure"],
      "leaves a place in which new runs start as in any",
      (store) =>
        Effect.gen(function* () {
          const run = freshRun()
          yield* start(store, run)
          yield* stop(store, stopOfRun(run))
          const { messageId: _messageId, ...chat } = run.ref
          yield* store.forget(Chat.make(chat))
          const again = yield* start(store, run)
          assert.deepStrictEqual([again.current, again.request], [true, undefined])
          assert.deepStrictEqual(standing(yield* recordOf(store, run)), standing(again))
        })
    )
  })
