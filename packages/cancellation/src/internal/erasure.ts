/**
 * Erasing runs and stops, and ending the work that would write on for them.
 *
 * This process knows what it has erased, so its own runs are cancelled at once. Others learn it as
 * ever, from two looks running that find no row: a hint makes them look now, and the looks that follow
 * every hint that finds nothing are the second one.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Run } from "../Message.ts"
import type { ForgetQuery, MessageStore, RunQuery } from "../MessageStore.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { Attempts } from "./attempts.ts"
import { isIn } from "./place.ts"
import type { OpenWatches } from "./watch.ts"
import type { Writes } from "./writes.ts"

export const makeForget = (options: {
  readonly store: MessageStore["Service"]
  readonly attempts: Attempts
  readonly open: OpenWatches
  readonly writes: Writes
  readonly publish: (run: Run) => Effect.Effect<unknown>
}) => {
  const { attempts, open, publish, store, writes } = options

  // Erased they cannot be found any more. Not to find them costs the others a little time.
  const running = Effect.fnUntraced(function* (query: Place) {
    if (!store.supports.find || !store.supports.erasure) return []
    const found = yield* attempts.make("findRuns", store.findRuns(runningIn(query)))
    if (Exit.isSuccess(found)) return found.value.map(({ run }) => run)
    yield* Effect.logDebug("Erased runs of other processes are found by polling", found.cause)
    return []
  })

  const cancel = (query: Place) =>
    Effect.suspend(() => {
      const matches = ({ ref }: Run) => isIn(query, ref)
      writes.forget(matches)
      return Effect.forEach(open.all(), (watch) => watch.forget(matches), { discard: true })
    })

  // Whole: what was erased is told, even if the caller is gone by then.
  return (query: ForgetQuery): Effect.Effect<number, MessageStoreError> =>
    Effect.uninterruptible(
      Effect.gen(function* () {
        const others = query._tag === "EndedBefore" ? [] : yield* running(query)
        const erased = yield* Effect.flatten(attempts.make("forget", store.forget(query)))
        if (query._tag === "EndedBefore") return erased
        yield* cancel(query)
        yield* Effect.forEach(others, publish, { concurrency: "unbounded", discard: true })
        return erased
      })
    )
}

type Place = Exclude<ForgetQuery, { readonly _tag: "EndedBefore" }>

const runningIn = (query: Place): RunQuery =>
  query._tag === "Chat"
    ? { ...query, runningOnly: true }
    : { ...query, _tag: "Company", runningOnly: true }
