/**
 * One watcher's place in the repo: the segments of its turn, looked at together and ended together.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Scheduler from "effect/Scheduler"
import { CancellationEvent, type DetectedBy } from "../CancellationEvent.ts"
import { runsWatched, stopsDetected } from "../CancellationMetrics.ts"
import { type MessageId, MessageRef, Run, runKey } from "../Message.ts"
import type { MessageStore } from "../MessageStore.ts"
import { type RunOutcome, type RunRecord, type StopReason, StopRequest } from "../StopRequest.ts"
import { type Chronicle, erasing, isUnanswered } from "./chronicle.ts"
import type { Detection } from "./detection.ts"
import type { Feed, Segment } from "./feed.ts"
import type { LeaseHolder } from "./lease.ts"
import { annotations } from "./words.ts"
import type { Writes } from "./writes.ts"

/** A run as `CancellationWatcher` sees it. */
export interface Watch {
  /** The segment written now. */
  readonly run: Effect.Effect<Run>
  /** Asks the store once, now. */
  readonly look: Effect.Effect<void>
  /** Cancels from inside. */
  readonly cancel: (reason: StopReason) => Effect.Effect<void>
  /** Goes on to the next segment of the same turn. */
  readonly retarget: (messageId: MessageId) => Effect.Effect<void>
  /**
   * Taken as its segments that match are being erased; run when they have been, what it answers
   * cancels it, and sends nothing more of them. A segment that began meanwhile is left alone.
   */
  readonly erasing: (matches: (run: Run) => boolean) => Effect.Effect<void>
  /** Wants ticks at this interval too, until told otherwise. */
  readonly want: (interval: Duration.Duration) => Effect.Effect<void>
  readonly unwant: (interval: Duration.Duration) => Effect.Effect<void>
  /** The run is over: waits for its handlers, then writes how it ended. */
  readonly close: (outcome: RunOutcome) => Effect.Effect<void>
}

type Part = Segment & Chronicle

/** What the watches of one repo share. */
export interface WatchContext {
  readonly store: MessageStore["Service"]
  readonly feed: Feed
  readonly writes: Writes
  readonly lease: LeaseHolder | undefined
  readonly open: OpenWatches
  /** How many watches of this repo have the run, by its key: the last to close says how it ended. */
  readonly live: Map<string, number>
  readonly pollTimeout: Duration.Duration
}

/** The watches that are open, for a drain. */
export interface OpenWatches {
  readonly all: () => ReadonlyArray<Watch>
  /** Waits until none is open. */
  readonly none: Effect.Effect<void>
  readonly add: (watch: Watch) => void
  readonly remove: (watch: Watch) => void
}

export const makeOpenWatches = (): OpenWatches => {
  const watches = new Set<Watch>()
  const none = Latch.makeUnsafe(true)
  return {
    all: () => Array.from(watches),
    none: none.await,
    add: (watch) => {
      watches.add(watch)
      none.closeUnsafe()
    },
    remove: (watch) => {
      watches.delete(watch)
      if (watches.size === 0) none.openUnsafe()
    }
  }
}

export const openWatch = Effect.fnUntraced(function* (
  shared: WatchContext,
  options: {
    readonly run: Run
    readonly pollInterval: Duration.Duration
    readonly detection: Detection
  }
) {
  const { feed, lease, live, open, pollTimeout, store, writes } = shared
  const { detection, pollInterval } = options
  // The run's own, so that its log lines and spans are found with the program's.
  const context = yield* Effect.context<never>()
  const parts = new Map<string, Part>()
  /** The segment whose stop was found in the store, until the store has been told so. */
  let unobserved: Part | undefined
  let closed = false

  const tellObserved = Effect.suspend(() => {
    const part = unobserved
    unobserved = undefined
    if (part === undefined || !store.supports.runs) return Effect.void
    // A stop was found for it, so the store knows it, whether or not its start has arrived.
    if (part.start === "waiting") part.start = "known"
    return writes.observed(part)
  })

  const detect = Effect.fnUntraced(function* (
    run: Run,
    request: StopRequest | StopReason,
    by: DetectedBy
  ) {
    if (closed || detection.isCancelledUnsafe()) return
    const detectedAt = yield* Clock.currentTimeMillis
    const event = CancellationEvent.make({
      run,
      request:
        typeof request === "string"
          ? StopRequest.make({ userAbortedAt: detectedAt, reason: request })
          : request,
      detectedAt,
      detectedBy: by
    })
    if (closed || detection.isCancelledUnsafe()) return
    // Before the step: interrupted work ends, and its run closes, within it.
    if (by !== "local") unobserved = parts.get(runKey(run))
    detection.stepUnsafe(event)
    yield* detection.startHandlers(by === "check")
    yield* feed.remove(Array.from(parts.values()))
    yield* feed.unwant(pollInterval)
    yield* tellObserved
    yield* announce(event)
  }, Effect.uninterruptible)

  const announce = (event: CancellationEvent) =>
    Effect.logInfo("Run cancelled").pipe(
      Effect.andThen(
        Metric.update(Metric.withAttributes(stopsDetected, { detected_by: event.detectedBy }), 1)
      ),
      Effect.annotateLogs({
        ...annotations(event.run),
        "effect_cancellation.reason": event.request.reason,
        "effect_cancellation.detected_by": event.detectedBy
      }),
      Effect.withSpan(
        "CancellationWatcher.detected",
        {
          attributes: {
            ...annotations(event.run),
            "effect_cancellation.reason": event.request.reason,
            "effect_cancellation.detected_by": event.detectedBy
          }
        },
        { captureStackTrace: false }
      ),
      Effect.provideContext(context)
    )

  const started = (part: Part, record: RunRecord) => {
    part.seen = true
    if (record.request !== undefined) return detect(part.run, record.request, "start")
    if (record.outcome === undefined) return Effect.void
    part.stale = true
    return Effect.logWarning(
      `This run ended before (${record.outcome}), so no stop can reach it: begin a new attempt with a new runId`
    ).pipe(Effect.annotateLogs(annotations(part.run)), Effect.provideContext(context))
  }

  const begin = Effect.fnUntraced(function* (run: Run) {
    const key = runKey(run)
    const part: Part = {
      run,
      key,
      seen: false,
      stale: false,
      recheck: undefined,
      start: "waiting",
      sending: undefined,
      answer: undefined,
      giveUpAt: undefined,
      failure: undefined,
      started: (record) => started(part, record),
      detect: (request, by) =>
        Effect.suspend(() => {
          // Its row is gone, and with it what could be told of it.
          if (request === "deleted") part.start = "forgotten"
          return detect(run, request, by)
        })
    }
    if (closed) return
    parts.set(key, part)
    live.set(key, (live.get(key) ?? 0) + 1)
    yield* feed.add(part)
    // Closed or cancelled meanwhile by another fiber: nothing would remove it again.
    if (closed || detection.isCancelledUnsafe()) return yield* feed.remove([part])
    // For a store that knows runs the answer to the start is the first look.
    yield* store.supports.runs ? writes.start(part) : feed.firstLook(part)
  })

  let current = options.run

  // `runSync` cannot wait: it is told what the store knows.
  const lookAndWait = (all: ReadonlyArray<Part>) =>
    Effect.flatMap(Scheduler.Scheduler, ({ executionMode }) => {
      if (executionMode === "sync") return feed.look(all, "check")
      // A stop that came first waits for the start, and is in its answer. What was sent before may
      // have been answered before a stop; what is sent from now on is a look in itself.
      const unanswered = all.filter(isUnanswered)
      const unsent = unanswered.filter(({ start }) => start === "waiting")
      const answers = Effect.flatMap(writes.answered(unanswered), () =>
        closed || detection.isCancelledUnsafe()
          ? Effect.void
          : feed.look(
              unanswered.filter((part) => part.failure !== undefined || !unsent.includes(part)),
              "check"
            )
      ).pipe(Effect.timeoutOption(pollTimeout))
      const known = all.filter((part) => !unanswered.includes(part))
      return Effect.all([feed.look(known, "check"), answers], { concurrency: 2 }).pipe(
        // A stop that is found in another way meanwhile ends the waiting.
        Effect.raceFirst(detection.cancellation),
        Effect.asVoid
      )
    })

  const watch: Watch = {
    run: Effect.sync(() => current),

    look: Effect.suspend(() => {
      if (closed) return Effect.void
      const all = Array.from(parts.values())
      return store.supports.runs && all.some(isUnanswered)
        ? lookAndWait(all)
        : feed.look(all, "check")
    }),

    cancel: (reason) => Effect.suspend(() => detect(current, reason, "local")),

    retarget: (messageId) =>
      Effect.uninterruptible(
        Effect.suspend(() => {
          if (closed || detection.isCancelledUnsafe()) return Effect.void
          const run = Run.make({
            ref: MessageRef.make({ ...current.ref, messageId }),
            runId: current.runId
          })
          current = run
          return parts.has(runKey(run)) ? Effect.void : begin(run)
        })
      ),

    erasing: (matches) => {
      const erased = Array.from(parts.values()).filter(({ run }) => matches(run))
      const [first] = erased
      if (first === undefined) return Effect.void
      const mark = erasing(erased)
      return Effect.suspend(() => {
        mark()
        return detect(first.run, "deleted", "local")
      })
    },

    want: feed.want,
    unwant: feed.unwant,

    close: Effect.fnUntraced(function* (outcome) {
      closed = true
      const all = Array.from(parts.values())
      yield* feed.remove(all)
      if (!detection.isCancelledUnsafe()) yield* feed.unwant(pollInterval)
      yield* detection.close
      yield* tellObserved
      const over = all.filter(({ key }) => {
        const others = (live.get(key) ?? 1) - 1
        if (others > 0) live.set(key, others)
        else live.delete(key)
        return others === 0
      })
      if (store.supports.runs) yield* writes.ended(over, outcome)
      if (lease !== undefined) yield* lease.release
      yield* Metric.modify(runsWatched, -1)
      open.remove(watch)
    }, Effect.uninterruptible)
  }

  yield* Metric.modify(runsWatched, 1)
  open.add(watch)
  if (lease !== undefined) yield* lease.hold
  yield* feed.want(pollInterval)
  yield* begin(options.run)
  return watch
}, Effect.uninterruptible)
