import { assert, describe } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CompanyId, type MessageRef, MessageStore, Run, runKey, UserId } from "effect-cancellation"
import { freshChat, freshId, freshRun, only, runKeys, runOf } from "./contract.ts"

/**
 * How the suite arranges rows in a store that cannot make them itself, because it supports no runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface ContractRows {
  /** Makes the row of a message that nobody has stopped. */
  readonly running: (ref: MessageRef) => Effect.Effect<void, unknown>
  /** Makes the row of a message that somebody has stopped. */
  readonly stopped: (ref: MessageRef) => Effect.Effect<void, unknown>
}

/** The hot read of a store that only has a flag on its messages. */
export const flags = (it: Vitest.MethodsNonLive<MessageStore>, rows: ContractRows) =>
  describe("stopRequests of flags", () => {
    it.effect("finds the stop of a message, for whichever run of it is asked", () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        const stopped = freshRun()
        const running = freshRun()
        yield* rows.stopped(stopped.ref)
        yield* rows.running(running.ref)
        const again = runOf(stopped.ref)
        const look = yield* store.stopRequests([running, stopped, again])
        assert.deepStrictEqual(
          runKeys(look.requests.map(({ run }) => run)),
          runKeys([stopped, again])
        )
        assert.isTrue(look.requests.every(({ request }) => request.userAbortedAt > 0))
        assert.deepStrictEqual([look.gone, look.lost, look.failures], [[], [], []])
      })
    )

    it.effect("answers a message without a row as gone", () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        const [known, unknown] = [freshRun(), freshRun()]
        yield* rows.running(known.ref)
        const look = yield* store.stopRequests([unknown, known])
        assert.deepStrictEqual(look.gone.map(runKey), [runKey(unknown)])
        assert.deepStrictEqual([look.requests, look.failures], [[], []])
      })
    )

    it.effect("does not find the stop of the same message of another tenant or chat", () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        const { ref, runId } = freshRun()
        yield* rows.stopped(ref)
        const twins = [
          { ...ref, companyId: CompanyId.make(freshId()) },
          { ...ref, userId: UserId.make(freshId()) },
          { ...ref, chatId: freshChat().chatId }
        ].map((ref) => Run.make({ ref, runId }))
        const look = yield* store.stopRequests(twins)
        assert.deepStrictEqual(look.requests, [])
        assert.strictEqual(look.gone.length, twins.length)
      })
    )

    it.effect("answers 2,500 runs at once", () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        const runs = Array.from({ length: 2500 }, () => freshRun())
        const stopped = only(runs.slice(1234, 1235))
        yield* rows.stopped(stopped.ref)
        const look = yield* store.stopRequests(runs)
        assert.deepStrictEqual(
          look.requests.map(({ run }) => runKey(run)),
          [runKey(stopped)]
        )
        assert.strictEqual(look.gone.length, runs.length - 1)
      })
    )
  })
