/**
 * What is known of runs that the store could not be asked about: one warning when it starts, one
 * line when it ends, a gauge meanwhile, and `maxBlind` for programs that would rather stop than run
 * unstoppably.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { blindRuns, failedReads } from "../CancellationMetrics.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"

export interface Outage<T> {
  /** A read reached none of these. */
  readonly failed: (
    items: ReadonlyArray<T>,
    cause: Cause.Cause<MessageStoreError>
  ) => Effect.Effect<void>
  /** These rows could not be understood; the store itself answers. */
  readonly malformed: (item: T, error: MessageStoreError) => Effect.Effect<void>
  /** A read reached these. */
  readonly reached: (items: ReadonlyArray<T>) => Effect.Effect<void>
  /** This one is not watched any more. */
  readonly remove: (item: T) => Effect.Effect<void>
}

export const makeOutage = <T>(options: {
  readonly scope: Scope.Scope
  readonly maxBlind: Duration.Duration | undefined
  /** False for an item that has been removed: marked after that it would stay marked. */
  readonly isWatched: (item: T) => boolean
  /** Told of items that were blind for `maxBlind`. */
  readonly unreachable: (items: ReadonlyArray<T>) => Effect.Effect<void>
}): Outage<T> => {
  const { isWatched, maxBlind, scope, unreachable } = options
  const blind = new Map<T, number>()
  const malformed = new Set<T>()
  let outage: { readonly since: number; reads: number } | undefined
  let guard: Fiber.Fiber<void> | undefined

  const watchBlindness = (limit: number): Effect.Effect<void> =>
    Effect.gen(function* () {
      while (blind.size > 0) {
        const now = yield* Clock.currentTimeMillis
        const due = Array.from(blind).filter(([, since]) => now - since >= limit)
        if (due.length > 0) {
          const items = due.map(([item]) => item)
          // Whole: with nobody left to be blind, the guard interrupts itself.
          yield* Effect.uninterruptible(
            Effect.andThen(Effect.forEach(items, remove, { discard: true }), unreachable(items))
          )
          continue
        }
        // The first to have become blind is the first in the map.
        const [since = now] = blind.values()
        yield* Effect.sleep(since + limit - now)
      }
    })

  const mark = Effect.fnUntraced(function* (items: ReadonlyArray<T>) {
    const now = yield* Clock.currentTimeMillis
    const before = blind.size
    for (const item of items) if (isWatched(item) && !blind.has(item)) blind.set(item, now)
    yield* count(before)
    if (maxBlind !== undefined && guard === undefined && blind.size > 0) {
      const started = yield* Effect.forkIn(watchBlindness(Duration.toMillis(maxBlind)), scope)
      guard = started
      // Not a finalizer of its own: interrupted before its first step it would run none.
      started.addObserver(() => {
        if (guard === started) guard = undefined
      })
    }
  })

  const clear = (items: ReadonlyArray<T>) =>
    Effect.suspend(() => {
      if (blind.size === 0) return Effect.void
      const before = blind.size
      for (const item of items) {
        blind.delete(item)
        malformed.delete(item)
      }
      if (blind.size === 0) guard?.interruptUnsafe()
      return count(before)
    })

  // A gauge of the process, shared by its repos: each adds what changed.
  const count = (before: number) =>
    before === blind.size ? Effect.void : Metric.modify(blindRuns, blind.size - before)

  const remove = (item: T) => clear([item])

  return {
    failed: Effect.fnUntraced(function* (items, cause) {
      yield* Metric.update(failedReads, 1)
      yield* mark(items)
      if (outage !== undefined) {
        outage.reads++
        return
      }
      outage = { since: yield* Clock.currentTimeMillis, reads: 1 }
      yield* Effect.logWarning(
        "The store cannot be asked for stops; the runs go on, and it is asked again",
        cause
      )
    }),
    malformed: Effect.fnUntraced(function* (item, error) {
      const known = malformed.has(item)
      malformed.add(item)
      yield* mark([item])
      if (!known) yield* Effect.logWarning("A run's row cannot be understood", error)
    }),
    reached: Effect.fnUntraced(function* (items) {
      yield* clear(items)
      // Over when everybody is reached again: half a store that answers is still an outage.
      if (outage === undefined || blind.size > malformed.size) return
      const { reads, since } = outage
      outage = undefined
      const lasted = Duration.millis((yield* Clock.currentTimeMillis) - since)
      yield* Effect.logInfo(
        `The store answers again after ${Duration.format(lasted)} and ${reads} failed reads`
      )
    }),
    remove
  }
}
