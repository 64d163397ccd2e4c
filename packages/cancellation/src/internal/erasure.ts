/**
 * Erasing runs and stops, and ending the work that would write on for them.
 *
 * This process knows what it has erased, so its own runs are cancelled at once. Others learn it as
 * ever, from two looks running that find no row: a hint makes them look now, and the looks that follow
 * every hint that finds nothing are the second one.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Run, runKey } from "../Message.ts"
import type { ForgetQuery, RunQuery } from "../MessageStore.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { Attempts } from "./attempts.ts"
import { erasing } from "./chronicle.ts"
import { isIn } from "./place.ts"
import type { WatchContext } from "./watch.ts"

export const makeForget = (
  options: Pick<WatchContext, "store" | "open" | "writes" | "live"> & {
    readonly attempts: Attempts
    readonly publish: (runs: ReadonlyArray<Run>) => Effect.Effect<unknown>
  }
) => {
  const { attempts, live, open, publish, store, writes } = options

  const erase = (query: ForgetQuery) =>
    Effect.flatten(
      attempts.make(
        "forget",
        Effect.suspend(() => store.forget(query))
      )
    )

  // Erased they cannot be found any more. Not to find them costs the others a little time.
  const runningElsewhere = Effect.fnUntraced(function* (query: Place) {
    if (!store.supports.find || !store.supports.erasure) return []
    const found = yield* attempts.make(
      "findRuns",
      Effect.suspend(() => store.findRuns(runningIn(query)))
    )
    if (Exit.isSuccess(found)) {
      return found.value.map(({ run }) => run).filter((run) => !live.has(runKey(run)))
    }
    yield* Effect.logDebug("Erased runs of other processes are found by polling", found.cause)
    return []
  })

  // Who is meant is settled before the store is asked: a run that begins while its answer is on the
  // way may have come behind the deletion. If it came before, looks find that it is gone.
  const cancelling = (query: Place): Effect.Effect<void> => {
    const matches = ({ ref }: Run) => isIn(query, ref)
    const mark = erasing(writes.unwritten(matches))
    const cancels = open.all().map((watch) => watch.erasing(matches))
    return Effect.andThen(Effect.sync(mark), Effect.all(cancels, { discard: true }))
  }

  const eraseIn = Effect.fnUntraced(function* (query: Place) {
    const others = yield* runningElsewhere(query)
    const cancel = cancelling(query)
    const erased = yield* erase(query)
    yield* cancel
    if (others.length > 0) yield* publish(others)
    return erased
  })

  // Whole: what was erased is told, even if the caller is gone by then.
  return (query: ForgetQuery): Effect.Effect<number, MessageStoreError> =>
    Effect.uninterruptible(query._tag === "EndedBefore" ? erase(query) : eraseIn(query))
}

type Place = Exclude<ForgetQuery, { readonly _tag: "EndedBefore" }>

const runningIn = (query: Place): RunQuery =>
  query._tag === "Chat"
    ? { ...query, runningOnly: true }
    : { ...query, _tag: "Company", runningOnly: true }
