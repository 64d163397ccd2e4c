/**
 * What is known of runs that the store could not be asked about: one warning when it starts, one
 * line when it ends, reminders and a gauge meanwhile, and `maxBlind` for programs that would rather
 * stop than run unstoppably.
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
import { looksPermanent } from "./permanence.ts"
import { lasting, oneLine, plural, whatFailed } from "./words.ts"

export interface Outage<T> {
  /** A read reached none of these; or a part of the store, in which these are, did not answer it. */
  readonly failed: (
    items: ReadonlyArray<T>,
    cause: Cause.Cause<MessageStoreError>,
    isPart?: boolean
  ) => Effect.Effect<void>
  /** These rows could not be understood; the store itself answers. */
  readonly malformed: (item: T, error: MessageStoreError) => Effect.Effect<void>
  /** Whether nobody is blind, and all that there was to tell has been told. */
  readonly isOver: () => boolean
  /** A read reached these. */
  readonly reached: (items: ReadonlyArray<T>) => Effect.Effect<void>
  /** These are not watched any more; a step. */
  readonly remove: (items: ReadonlyArray<T>) => Effect.Effect<void>
}

interface Ongoing {
  readonly since: number
  reads: number
  /** Others are reached meanwhile, which says nothing of the part that is away. */
  isPart: boolean
  /** A failure that looks permanent has been told, once an outage. */
  isPermanent: boolean
  /** The pauses from here on; the last one over and over. */
  pauses: ReadonlyArray<number>
  remindAt: number
  /** Since when nobody is waiting to be reached. */
  unaskedSince: number | undefined
}

// In minutes, from one line to the next: nobody overlooks it, and no log is filled. What may pass by
// itself is given longer.
const passing = [5, 15, 60]
const permanent = [1, ...passing]

// Runs that come one after the other are in the same outage. After this long without any, nobody knows
// how long it went on.
const unaskedMillis = 5 * 60_000

const ofPermanent = "This does not look as if it would pass by itself."

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
  let outage: Ongoing | undefined
  let guard: Fiber.Fiber<void> | undefined

  const watchBlindness = (limit: number): Effect.Effect<void> =>
    Effect.gen(function* () {
      while (blind.size > 0) {
        const now = yield* Clock.currentTimeMillis
        const due = Array.from(blind).filter(([, since]) => now - since >= limit)
        if (due.length > 0) {
          const items = due.map(([item]) => item)
          // Whole: with nobody left to be blind, the guard interrupts itself.
          yield* Effect.uninterruptible(Effect.andThen(clear(items), unreachable(items)))
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
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (blind.size === 0) return Effect.void
      const before = blind.size
      for (const item of items) {
        blind.delete(item)
        malformed.delete(item)
      }
      if (blind.size === 0) {
        guard?.interruptUnsafe()
        if (outage !== undefined) outage.unaskedSince = now
      }
      return count(before)
    })

  // A gauge of the process, shared by its repos: each adds what changed.
  const count = (before: number) =>
    before === blind.size ? Effect.void : Metric.modify(blindRuns, blind.size - before)

  const remind = (ongoing: Ongoing, now: number, pauses: ReadonlyArray<number>): void => {
    const [pause = 0, ...others] = pauses
    ongoing.remindAt = now + pause * 60_000
    ongoing.pauses = others.length > 0 ? others : pauses
  }

  const unaskedFor = ({ unaskedSince }: Ongoing, now: number): number | undefined =>
    unaskedSince === undefined || now - unaskedSince < unaskedMillis
      ? undefined
      : now - unaskedSince

  const tell = Effect.fnUntraced(function* (
    cause: Cause.Cause<MessageStoreError>,
    isPart: boolean
  ) {
    const now = yield* Clock.currentTimeMillis
    const isPermanent = looksPermanent(cause)
    const unaskedSince = blind.size === 0 ? now : undefined
    const log = isPermanent ? Effect.logError : Effect.logWarning
    const why = whatFailed(cause) + (isPermanent ? `. ${ofPermanent}` : "")
    if (outage === undefined || unaskedFor(outage, now) !== undefined) {
      outage = {
        since: now,
        reads: 1,
        isPart,
        isPermanent,
        pauses: [],
        remindAt: now,
        unaskedSince
      }
      remind(outage, now, isPermanent ? permanent : passing)
      yield* log(
        `The store cannot be asked for stops; the runs go on, and it is asked again: ${why}`
      )
      return yield* Effect.logDebug("Why the store cannot be asked for stops", cause)
    }
    outage.reads++
    outage.isPart = isPart
    outage.unaskedSince = unaskedSince
    const isNews = isPermanent && !outage.isPermanent
    if (!isNews && now < outage.remindAt) return
    if (isNews) outage.isPermanent = true
    remind(outage, now, isNews ? permanent : outage.pauses)
    yield* log(
      `The store still cannot be asked for stops, after ${lasting(now - outage.since)} and ${plural(outage.reads, "failed read")}: ${why}`
    )
  })

  return {
    failed: Effect.fnUntraced(function* (items, cause, isPart = false) {
      yield* Metric.update(failedReads, 1)
      // Whether their rows can be understood is not known any more.
      for (const item of items) malformed.delete(item)
      yield* mark(items)
      yield* tell(cause, isPart)
    }),
    malformed: Effect.fnUntraced(function* (item, error) {
      const known = malformed.has(item)
      malformed.add(item)
      yield* mark([item])
      if (known) return
      yield* Effect.logWarning(`A run's row cannot be understood: ${oneLine(error.message)}`)
    }),
    isOver: () => outage === undefined && blind.size === 0,
    reached: Effect.fnUntraced(function* (items) {
      const wasBlind = items.some((item) => blind.has(item))
      yield* clear(items)
      // Over when everybody is reached again: half a store that answers is still an outage.
      if (outage === undefined || blind.size > malformed.size) return
      const now = yield* Clock.currentTimeMillis
      // Nor is it over as the last run that knew of it has ended.
      if (outage.isPart && !wasBlind && unaskedFor(outage, now) === undefined) return
      const ended = outage
      outage = undefined
      const unasked = unaskedFor(ended, now)
      const after = unasked === undefined ? now - ended.since : now - ended.since - unasked
      yield* Effect.logInfo(
        `The store answers again after ${lasting(after)} and ${plural(ended.reads, "failed read")}` +
          (unasked === undefined ? "" : `, and ${lasting(unasked)} in which nothing asked it`)
      )
    }),
    remove: (items) => (blind.size === 0 ? Effect.void : clear(items))
  }
}
