import { assert, describe } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import {
  ForgetQuery,
  MessageStore,
  type MessageStoreError,
  RunQuery,
  type Supports,
  UserId
} from "effect-cancellation"
import { by, freshId, freshRun, longLease, stopOfRun, type Store } from "./contract.ts"

type Call = (store: Store) => Effect.Effect<unknown, MessageStoreError>

const operations: {
  readonly [Feature in Exclude<keyof Supports, "hints">]: Readonly<Record<string, Call>>
} = {
  runs: {
    startRuns: (store) => store.startRuns([freshRun()]),
    advanceRuns: (store) => store.advanceRuns([{ run: freshRun(), to: "completed" }])
  },
  stops: { requestStop: (store) => store.requestStop(stopOfRun(freshRun()), by("ada")) },
  find: {
    findRuns: (store) => store.findRuns(RunQuery.cases.Refs.make({ refs: [freshRun().ref] }))
  },
  leases: {
    renewLease: (store) => store.renewLease(longLease()),
    sweepLost: (store) => store.sweepLost
  },
  erasure: {
    forget: (store) => store.forget(ForgetQuery.cases.User.make({ userId: UserId.make(freshId()) }))
  }
}

const features = ["runs", "stops", "find", "leases", "erasure"] as const

export const unsupported = (
  it: Vitest.MethodsNonLive<MessageStore>,
  name: string,
  supports: Supports,
  hintsDeclared: boolean
) =>
  describe("supports", () => {
    it.effect("says what the suite was told", () =>
      Effect.gen(function* () {
        const store = yield* MessageStore
        const hints = hintsDeclared ? supports.hints : store.supports.hints
        assert.deepStrictEqual({ ...store.supports }, { ...supports, hints })
      })
    )

    const missing = features.filter((feature) => !supports[feature])
    if (missing.length === 0) return

    it.effect(`leaves out ${missing.join(", ")}, and those operations answer Unsupported`, () =>
      Effect.gen(function* () {
        yield* Console.log(`${name}: not supported: ${missing.join(", ")}`)
        const store = yield* MessageStore
        for (const feature of missing) {
          for (const [operation, call] of Object.entries(operations[feature])) {
            const error = yield* Effect.flip(call(store)).pipe(
              Effect.catch(() => Effect.die(new Error(`${operation} did not fail`)))
            )
            assert.strictEqual(error.reason._tag, "Unsupported", operation)
          }
        }
      })
    )
  })
