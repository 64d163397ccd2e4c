/**
 * All who wait for receipts share one query a tick.
 *
 * Nothing is asked while nobody waits. Ticks are short while a stop is on its way, and long while
 * those who look on wait for one to be asked.
 */
import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  messageKey,
  type MessageRef,
  type MessageRepo,
  type RunId,
  RunQuery,
  type RunRecord
} from "effect-cancellation"

/** A run, or whichever run of a message is the current one. */
export interface Followed {
  readonly ref: MessageRef
  readonly runId: RunId | undefined
}

export interface Followers {
  /**
   * The run each time it has changed from how it was `seen`. Ends when there is no such run in two
   * looks running, unless none was seen yet.
   */
  readonly follow: (followed: Followed, seen: RunRecord | undefined) => Stream.Stream<RunRecord>
  /** A stop was asked of a run of this message: whoever follows it is told soon. */
  readonly hurry: (ref: MessageRef) => Effect.Effect<void>
}

interface Follower extends Followed {
  readonly key: string
  readonly queue: Queue.Queue<RunRecord, Cause.Done>
  seen: RunRecord | undefined
  missing: number
  isInHurry: boolean
  /** Since the look that is under way has begun. */
  isHurried: boolean
}

export const makeFollowers = (options: {
  readonly repo: MessageRepo["Service"]
  readonly scope: Scope.Scope
  readonly tick: Duration.Duration
  readonly idleTick: Duration.Duration
}): Followers => {
  const { idleTick, repo, scope, tick } = options
  const followers = new Set<Follower>()
  let isTicking = false
  let isAway = false
  let hurried = Deferred.makeUnsafe<void>()

  const isHurry = () => Array.from(followers).some(({ isInHurry }) => isInHurry)

  const find = (refs: ReadonlyArray<MessageRef>) =>
    Effect.forEach(Arr.chunksOf(refs, chunkSize), (chunk) =>
      repo.findRuns(RunQuery.cases.Refs.make({ refs: chunk }))
    )

  const look = Effect.gen(function* () {
    const asked = Array.from(followers)
    // Whoever is hurried from here on may be told what was true before.
    for (const follower of asked) follower.isHurried = false
    const refs = new Map(asked.map(({ key, ref }) => [key, ref]))
    const records = (yield* find(Array.from(refs.values()))).flat()
    const byMessage = Map.groupBy(records, ({ run }) => messageKey(run.ref))
    for (const follower of asked) tell(follower, byMessage.get(follower.key) ?? [])
    if (isAway) yield* Effect.logInfo("Receipts are followed again")
    isAway = false
  }).pipe(
    Effect.catch((error) => {
      if (isAway) return Effect.void
      isAway = true
      return Effect.logWarning(`Receipts cannot be followed; trying again. ${error.message}`)
    }),
    Effect.catchDefect((defect) => Effect.logError("Receipts could not be followed", defect))
  )

  const ticking = Effect.gen(function* () {
    while (true) {
      if (followers.size === 0) {
        isTicking = false
        return
      }
      hurried = Deferred.makeUnsafe()
      // A store that is away is not asked more often because somebody waits.
      const isShort = !isAway && isHurry()
      const isDue = yield* Effect.raceFirst(
        Effect.as(Effect.sleep(isShort ? tick : idleTick), true),
        // Neither short ticks nor those of an outage are begun anew by it, or those who come would
        // hold up those who wait.
        isShort || isAway ? Effect.never : Effect.as(Deferred.await(hurried), false)
      )
      if (isDue) yield* look
    }
  })

  const join = (follower: Follower) =>
    Effect.suspend(() => {
      followers.add(follower)
      if (follower.isInHurry) Deferred.doneUnsafe(hurried, Effect.void)
      if (isTicking) return Effect.void
      isTicking = true
      return Effect.asVoid(Effect.forkIn(ticking, scope))
    })

  return {
    follow: (followed, seen) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const follower: Follower = {
            ...followed,
            key: messageKey(followed.ref),
            queue: yield* Queue.unbounded<RunRecord, Cause.Done>(),
            seen,
            missing: 0,
            // Between how it was seen and now a stop may have been asked.
            isInHurry: true,
            isHurried: false
          }
          yield* Effect.acquireRelease(join(follower), () =>
            Effect.sync(() => followers.delete(follower))
          )
          return Stream.fromQueue(follower.queue)
        })
      ),
    hurry: (ref) =>
      Effect.sync(() => {
        const key = messageKey(ref)
        for (const follower of followers) {
          if (follower.key !== key) continue
          follower.isInHurry = true
          follower.isHurried = true
          Deferred.doneUnsafe(hurried, Effect.void)
        }
      })
  }
}

const chunkSize = 1000

const tell = (follower: Follower, records: ReadonlyArray<RunRecord>): void => {
  const { queue, runId, seen } = follower
  // Without a run of its own it follows the one it has seen, also when that is not current any more.
  const wanted = runId ?? seen?.run.runId
  const record = records.find(({ current, run }) =>
    wanted === undefined ? current : run.runId === wanted
  )
  if (record === undefined) {
    if (seen === undefined) return
    follower.isInHurry = follower.isHurried
    if (++follower.missing >= 2) Queue.endUnsafe(queue)
    return
  }
  follower.missing = 0
  follower.isInHurry = follower.isHurried || isStopping(record)
  follower.seen = record
  if (seen === undefined || standing(seen) !== standing(record)) Queue.offerUnsafe(queue, record)
}

const isStopping = ({ outcome, request }: RunRecord): boolean =>
  request !== undefined && outcome === undefined

const standing = ({ current, observedAt, outcome, request }: RunRecord): string =>
  `${current} ${request?.userAbortedAt} ${observedAt} ${outcome}`
