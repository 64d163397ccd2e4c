import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MessageRef, RunQuery, UserId } from "effect-cancellation"
import {
  clockTicks,
  type Contract,
  freshChat,
  freshId,
  freshRun,
  only,
  runKeys,
  runOf,
  standing,
  start,
  stop,
  stopOfRun,
  type Store
} from "./contract.ts"

const found = (store: Store, query: RunQuery) =>
  Effect.map(store.findRuns(query), (records) => runKeys(records.map(({ run }) => run)))

const { Chat, Company, Refs } = RunQuery.cases

/** A company with two users and two chats, and a run of each, of which some have ended. */
const arranged = Effect.fnUntraced(function* (store: Store) {
  const where = freshChat()
  const other = { ...where, userId: UserId.make(freshId()) }
  const elsewhere = { ...where, chatId: freshChat().chatId }
  const runs = {
    running: freshRun(where),
    ended: freshRun(where),
    ofOther: freshRun(other),
    inOtherChat: freshRun(elsewhere)
  }
  yield* store.startRuns([...Object.values(runs), freshRun()])
  yield* store.advanceRuns([{ run: runs.ended, to: "completed" }])
  return { where, other, runs }
})

export const queries = ({ group }: Contract) =>
  group("findRuns", (test) => {
    test(["runs", "find"], "finds all runs of the messages named, and no others", (store) =>
      Effect.gen(function* () {
        const { runs } = yield* arranged(store)
        const newer = runOf(runs.ended.ref)
        yield* start(store, newer)
        const refs = [runs.ended.ref, runs.inOtherChat.ref, freshRun().ref]
        const expected = [runs.ended, newer, runs.inOtherChat]
        assert.deepStrictEqual(yield* found(store, Refs.make({ refs })), runKeys(expected))
        assert.deepStrictEqual(
          yield* found(store, Refs.make({ refs, runningOnly: true })),
          runKeys([newer, runs.inOtherChat])
        )
        assert.deepStrictEqual(yield* found(store, Refs.make({ refs: [] })), [])
      })
    )

    test(["runs", "find"], "finds the runs of a chat, of all its users or of one", (store) =>
      Effect.gen(function* () {
        const { other, runs, where } = yield* arranged(store)
        const { userId: _userId, ...chat } = where
        const all = [runs.running, runs.ended, runs.ofOther]
        assert.deepStrictEqual(yield* found(store, Chat.make(chat)), runKeys(all))
        assert.deepStrictEqual(
          yield* found(store, Chat.make({ ...chat, runningOnly: true })),
          runKeys([runs.running, runs.ofOther])
        )
        assert.deepStrictEqual(yield* found(store, Chat.make(other)), runKeys([runs.ofOther]))
        assert.deepStrictEqual(
          yield* found(store, Chat.make({ ...where, runningOnly: false })),
          runKeys([runs.running, runs.ended])
        )
      })
    )

    test(["runs", "find"], "finds the runs of one message of a chat, whoever's they are", (store) =>
      Effect.gen(function* () {
        const { runs, where } = yield* arranged(store)
        const { userId: _userId, ...chat } = where
        const { messageId } = runs.ended.ref
        const newer = runOf(runs.ended.ref)
        const ofOther = runOf(MessageRef.make({ ...runs.ofOther.ref, messageId }))
        yield* store.startRuns([newer, ofOther, freshRun({ ...freshChat(), chatId: chat.chatId })])
        const all = [runs.ended, newer, ofOther]
        assert.deepStrictEqual(yield* found(store, Chat.make({ ...chat, messageId })), runKeys(all))
        assert.deepStrictEqual(
          yield* found(store, Chat.make({ ...where, messageId, runningOnly: true })),
          runKeys([newer])
        )
        assert.deepStrictEqual(yield* found(store, Chat.make({ ...freshChat(), messageId })), [])
      })
    )

    test(["runs", "find"], "finds the runs of a company, of all its users or of one", (store) =>
      Effect.gen(function* () {
        const { other, runs, where } = yield* arranged(store)
        const { companyId } = where
        const all = Object.values(runs)
        assert.deepStrictEqual(yield* found(store, Company.make({ companyId })), runKeys(all))
        assert.deepStrictEqual(
          yield* found(store, Company.make({ companyId, runningOnly: true })),
          runKeys([runs.running, runs.ofOther, runs.inOtherChat])
        )
        assert.deepStrictEqual(
          yield* found(store, Company.make({ companyId, userId: other.userId })),
          runKeys([runs.ofOther])
        )
      })
    )

    test(["runs", "find"], "answers the oldest first", (store) =>
      Effect.gen(function* () {
        const where = freshChat()
        const runs = Array.from({ length: 6 }, () => freshRun(where))
        for (const run of runs) {
          yield* start(store, run)
          yield* clockTicks(store)
        }
        const again = runOf(only(runs.slice(0, 1)).ref)
        yield* start(store, again)
        // a change must not move a run: rows that are written anew change their place in some databases
        yield* store.advanceRuns([{ run: only(runs.slice(2, 3)), to: "completed" }])
        const order = [...runs, again].map(({ runId }) => runId)
        for (const query of [
          Chat.make(where),
          Company.make({ companyId: where.companyId }),
          Refs.make({ refs: runs.map(({ ref }) => ref).toReversed() })
        ]) {
          const records = yield* store.findRuns(query)
          assert.deepStrictEqual(
            records.map(({ run }) => run.runId),
            order,
            query._tag
          )
        }
      })
    )

    test(["runs", "find", "stops"], "answers runs as every other operation does", (store) =>
      Effect.gen(function* () {
        const run = freshRun()
        yield* start(store, run)
        yield* stop(store, stopOfRun(run))
        yield* store.advanceRuns([{ run, to: "observed" }])
        const record = only(yield* store.advanceRuns([{ run, to: "stopped" }]))
        const [byRef] = yield* store.findRuns(Refs.make({ refs: [run.ref] }))
        assert.deepStrictEqual(byRef && standing(byRef), standing(record))
        assert.deepStrictEqual(standing(yield* start(store, run)), standing(record))
      })
    )
  })
