/**
 * The one feed of a process: looks at the store for all watched runs together, at every tick, after
 * a hint and at the start of runs, and hands what it finds to the runs meant.
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constant } from "effect/Function"
import type * as Scope from "effect/Scope"
import type { DetectedBy } from "../CancellationEvent.ts"
import { reads } from "../CancellationMetrics.ts"
import { messageKey, type Run, runKey } from "../Message.ts"
import type { MessageStore } from "../MessageStore.ts"
import type { MessageStoreError } from "../MessageStoreError.ts"
import type { StopReason, StopRequest } from "../StopRequest.ts"
import type { StopHint } from "../StopSignal.ts"
import { makeAbsence } from "./absence.ts"
import { understoodLook } from "./answers.ts"
import type { Attempts } from "./attempts.ts"
import { afterRest } from "./inSteps.ts"
import { makeFindings } from "./findings.ts"
import { type Lane, makeLane } from "./lane.ts"
import { makeOutage } from "./outage.ts"
import { makePolling, type Polling } from "./polling.ts"
import { makeSegmentIndex } from "./segmentIndex.ts"

/** One run being watched: a watcher has one for each segment of its turn. */
export interface Segment {
  readonly run: Run
  /** Of the run. */
  readonly key: string
  /** The key of what a stop can name: the run, or the message if the store knows no runs. */
  readonly address: string
  /** The store has or had a row for it, so that the row's absence means something. */
  seen: boolean
  /** It had ended before it was started here, so that being `lost` says nothing about this process. */
  stale: boolean
  /** It is looked at; set by the feed alone. */
  isWatched: boolean
  /** A hint came for it, and no look that followed it is over. */
  isAnnounced: boolean
  recheck: Fiber.Fiber<unknown> | undefined
  /** Takes the step of detection for its watcher, now; answers what is to be done after it. */
  readonly stepUnsafe: (request: StopRequest, by: DetectedBy, at: number) => Effect.Effect<void>
  /** The same for a reason that is not in the store, with what is to be done after it. */
  readonly detect: (reason: Exclude<StopReason, "user">, by: DetectedBy) => Effect.Effect<void>
}

/** All but `started` are steps: they begin as they are called. */
export interface Feed extends Pick<Polling, "want" | "unwant"> {
  /** Looks at these from now on. */
  readonly add: (segment: Segment) => Effect.Effect<void>
  /** Looks at these no more. */
  readonly remove: (segments: ReadonlyArray<Segment>) => Effect.Effect<void>
  /** Looks at these without waiting for company, and goes on with what follows. */
  readonly look: <A>(
    segments: ReadonlyArray<Segment>,
    by: DetectedBy,
    then: () => Effect.Effect<A>
  ) => Effect.Effect<A>
  /** Looks at these with whatever else begins now. */
  readonly firstLook: (segment: Segment) => Effect.Effect<void>
  /**
   * A hint for a run, or for its message if the store knows no runs; costs nothing if it is not
   * watched here.
   */
  readonly hint: (run: Run) => Effect.Effect<void>
  /** Hints from elsewhere, all that came together: a look at what they are about begins at once. */
  readonly hear: (hints: ReadonlyArray<StopHint>) => Effect.Effect<void>
  /** A start is the first look at a run: how it went. */
  readonly started: (
    runs: ReadonlyArray<Run>,
    exit: Exit.Exit<unknown, MessageStoreError>
  ) => Effect.Effect<void>
}

// Hints may come before the commit they announce can be read (replicas, slow commits): where the look
// found nothing, another one 100 ms after it, and one 400 ms after that.
const rechecks = [Duration.millis(100), Duration.millis(400)]

export const makeFeed = (options: {
  readonly store: MessageStore["Service"]
  readonly scope: Scope.Scope
  readonly context: Context.Context<never>
  readonly attempts: Attempts
  readonly chunkSize: number
  readonly maxBlind: Duration.Duration | undefined
}): Feed => {
  const { attempts, chunkSize, context, scope, store } = options
  const segments = makeSegmentIndex<Segment>(({ address }) => address)
  const absence = makeAbsence(store.supports.runs)

  const outage = makeOutage<Segment>({
    scope,
    maxBlind: options.maxBlind,
    isWatched: (segment) => segment.isWatched,
    unreachable: (blind) =>
      Effect.forEach(blind, (segment) => segment.detect("unreachable", "local"), { discard: true })
  })

  // Where there are no runs, whoever hints cannot name the one that is watched.
  const addressOf = store.supports.runs ? runKey : (run: Run) => messageKey(run.ref)
  const reachedBy = (run: Run): ReadonlyArray<Segment> => segments.under(addressOf(run))
  const segmentsOf = (run: Run): ReadonlyArray<Segment> =>
    reachedBy(run).filter(({ key }) => key === runKey(run))
  const findings = makeFindings({ store, context, outage, absence, segmentsOf })
  const announcedBy = (run: Run): ReadonlyArray<Segment> => {
    const meant = reachedBy(run)
    for (const segment of meant) segment.isAnnounced = true
    return meant
  }
  const isWatched = (segment: Segment): boolean => segment.isWatched

  // Mostly all of them.
  const watchedOf = (items: ReadonlyArray<Segment>): ReadonlyArray<Segment> =>
    items.every(isWatched) ? items : items.filter(isWatched)

  // Not suspended: a check would take an operation more.
  const readOf = (asked: ReadonlyArray<Segment>) => {
    try {
      return store.stopRequests(asked.map(({ run }) => run))
    } catch (error) {
      return Effect.die(error)
    }
  }

  // What follows is no effect of its own: a check is looked at and answered very often.
  const lookNow = <A>(
    all: ReadonlyArray<Segment>,
    by: DetectedBy,
    then: () => Effect.Effect<A>,
    from = 0
  ): Effect.Effect<A> => {
    // An earlier chunk may have taken its time, and ended some of these.
    const asked = watchedOf(all.slice(from, from + chunkSize))
    if (asked.length === 0) return lookAfter(all, by, then, from)
    reads.updateUnsafe(1, context)
    const began = absence.began(asked)
    return Effect.flatMap(attempts.make("stopRequests", readOf(asked), understoodLook), (exit) => {
      // The rest is not tried, so none of it was reached.
      if (Exit.isFailure(exit)) {
        return Effect.flatMap(
          Effect.uninterruptible(outage.failed(all.slice(from), exit.cause)),
          then
        )
      }
      if (findings.isNone(asked, exit.value)) return lookAfter(all, by, then, from)
      // What a look found is handed out whole: cut in the middle it would be lost until the next.
      return Effect.flatMap(
        Effect.uninterruptible(findings.apply(watchedOf(asked), exit.value, by, began)),
        () => lookAfter(all, by, then, from)
      )
    })
  }

  const lookAfter = <A>(
    all: ReadonlyArray<Segment>,
    by: DetectedBy,
    then: () => Effect.Effect<A>,
    from: number
  ): Effect.Effect<A> =>
    from + chunkSize < all.length ? lookNow(all, by, then, from + chunkSize) : then()

  const lookAt = (all: ReadonlyArray<Segment>, by: DetectedBy) =>
    Effect.suspend(() => lookNow(all, by, constant(Effect.void)))

  const spanned = (runs: () => number, by: DetectedBy) =>
    Effect.withSpan(
      "MessageRepo.look",
      () => ({
        // A look serves all runs, and belongs to no trace of one of them.
        root: true,
        attributes: { "effect_cancellation.runs": runs(), "effect_cancellation.by": by }
      }),
      // Where it was made says nothing, and to find out takes a good part of the way of a stop.
      { captureStackTrace: false }
    )

  const polling = makePolling({
    scope,
    context,
    isIdle: () => segments.size() === 0,
    look: Effect.suspend(() => lookAt(segments.all(), "poll")).pipe(
      spanned(segments.size, "poll"),
      Effect.asVoid
    )
  })

  const wantedOf = (items: ReadonlyArray<Segment>): ReadonlyArray<Segment> =>
    Array.from(new Set(items)).filter(isWatched)

  const lookTogether = (wanted: ReadonlyArray<Segment>, by: DetectedBy) =>
    spanned(() => wanted.length, by)(lookAt(wanted, by))

  // One look in flight, the rest joined into the next: none of them waits for a tick.
  const first = makeLane<Segment>({
    scope,
    context,
    process: (items) => {
      const wanted = wantedOf(items)
      return Effect.as(wanted.length === 0 ? Effect.void : lookTogether(wanted, "start"), [])
    }
  })
  const hinted: Lane<Segment> = makeLane({
    scope,
    context,
    process: (items) => {
      const wanted = wantedOf(items)
      if (wanted.length === 0) return Effect.succeed([])
      // As the look begins: a hint that comes meanwhile has looks of its own.
      const announced = wanted.filter(({ isAnnounced }) => isAnnounced)
      for (const segment of announced) segment.isAnnounced = false
      return lookTogether(wanted, "hint").pipe(
        Effect.andThen(Effect.suspend(() => recheckAll(announced))),
        Effect.as([])
      )
    }
  })
  const recheckAll = (announced: ReadonlyArray<Segment>) =>
    Effect.forEach(announced.filter(isWatched), (segment) => recheck(segment), { discard: true })
  const recheck = (segment: Segment) =>
    Effect.forEach(rechecks, (pause) =>
      Effect.andThen(
        Effect.sleep(pause),
        // Whole: cut in the middle the lane would wait for ever for whoever woke it.
        Effect.uninterruptible(Effect.suspend(() => hinted.offer(segment)))
      )
    ).pipe(
      Effect.updateContext((_: Context.Context<never>) => context),
      Effect.forkIn(scope),
      Effect.map((fiber) => {
        segment.recheck?.interruptUnsafe()
        segment.recheck = fiber
        // Ended meanwhile: nobody would interrupt it.
        if (!segment.isWatched) fiber.interruptUnsafe()
      })
    )

  return {
    add: (segment) => {
      segment.isWatched = true
      segments.add(segment)
      return polling.update()
    },
    remove: (removed) => {
      for (const segment of removed) {
        segment.isWatched = false
        segments.remove(segment)
        absence.remove(segment)
        segment.recheck?.interruptUnsafe()
      }
      return afterRest(polling.update(), () => outage.remove(removed))
    },
    want: polling.want,
    unwant: polling.unwant,
    look: lookNow,
    firstLook: first.offer,
    hint: (run) => {
      const meant = announcedBy(run)
      return meant.length === 0 ? Effect.void : hinted.offerAll(meant)
    },
    hear: (hints) => {
      const announced = hints.flatMap((hint) => (hint._tag === "Hint" ? announcedBy(hint.run) : []))
      // Others may have been missed: one look at everything.
      const meant = hints.some(({ _tag }) => _tag === "Reconnected") ? segments.all() : announced
      return meant.length === 0 ? Effect.void : hinted.beginAll(meant)
    },
    started: (runs, exit) =>
      Effect.suspend(() => {
        const watched = runs.flatMap(segmentsOf)
        if (watched.length === 0) return Effect.void
        return Exit.isSuccess(exit)
          ? outage.reached(watched)
          : Effect.uninterruptible(outage.failed(watched, exit.cause))
      })
  }
}
