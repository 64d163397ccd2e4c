/**
 * One watcher's place in the repo: the segments of its turn, looked at together and ended together.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Scheduler from "effect/Scheduler"
import { CancellationEvent, type DetectedBy } from "../CancellationEvent.ts"
import { runsWatched, stopsDetected } from "../CancellationMetrics.ts"
import { type MessageId, MessageRef, Run, runKey } from "../Message.ts"
import type { MessageStore } from "../MessageStore.ts"
import { type RunOutcome, type RunRecord, type StopReason, StopRequest } from "../StopRequest.ts"
import { erasing, isUnanswered } from "./chronicle.ts"
import type { Detection } from "./detection.ts"
import type { Feed } from "./feed.ts"
import type { LeaseHolder } from "./lease.ts"
import type { OpenWatches } from "./openWatches.ts"
import { Part } from "./part.ts"
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

interface WatchOptions {
  readonly run: Run
  readonly pollInterval: Duration.Duration
  readonly detection: Detection
}

/** Opens a run: tells the store, and looks at it from now on. */
export const openWatch = (shared: WatchContext, options: WatchOptions): Effect.Effect<Watch> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const watch = new RunWatch(shared, options, context)
    return Effect.uninterruptible(Effect.as(watch.open, watch))
  })

// A class, because there is one for each run, as of `Detection`.
class RunWatch implements Watch {
  private readonly shared: WatchContext
  private readonly detection: Detection
  private readonly pollInterval: Duration.Duration
  // The run's own, so that its log lines and spans are found with the program's.
  private readonly context: Context.Context<never>
  /** The segment written now. */
  private current: Run
  private parts: ReadonlyArray<Part> = []
  /** The segment whose stop was found in the store, until the store has been told so. */
  private unobserved: Part | undefined
  private closed = false

  constructor(
    shared: WatchContext,
    { detection, pollInterval, run }: WatchOptions,
    context: Context.Context<never>
  ) {
    this.shared = shared
    this.detection = detection
    this.pollInterval = pollInterval
    this.context = context
    this.current = run
  }

  get open(): Effect.Effect<void> {
    const { feed, lease, open } = this.shared
    return Effect.suspend(() => {
      runsWatched.modifyUnsafe(1, this.context)
      open.add(this)
      const begun = Effect.flatMap(feed.want(this.pollInterval), () => this.begin(this.current))
      return lease === undefined ? begun : Effect.andThen(lease.hold, begun)
    })
  }

  get run(): Effect.Effect<Run> {
    return Effect.sync(() => this.current)
  }

  get look(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.closed) return Effect.void
      const { feed, store } = this.shared
      return store.supports.runs && this.parts.some(isUnanswered)
        ? this.lookAndWait(this.parts)
        : feed.look(this.parts, "check")
    })
  }

  cancel(reason: StopReason): Effect.Effect<void> {
    return Effect.suspend(() => this.detect(this.current, reason, "local"))
  }

  retarget(messageId: MessageId): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.suspend(() => {
        if (this.closed || this.detection.isCancelledUnsafe()) return Effect.void
        const { ref, runId } = this.current
        const run = Run.make({ ref: MessageRef.make({ ...ref, messageId }), runId })
        this.current = run
        return this.partOf(runKey(run)) === undefined ? this.begin(run) : Effect.void
      })
    )
  }

  erasing(matches: (run: Run) => boolean): Effect.Effect<void> {
    const erased = this.parts.filter(({ run }) => matches(run))
    const [first] = erased
    if (first === undefined) return Effect.void
    const mark = erasing(erased)
    return Effect.suspend(() => {
      mark()
      return this.detect(first.run, "deleted", "local")
    })
  }

  want(interval: Duration.Duration): Effect.Effect<void> {
    return this.shared.feed.want(interval)
  }

  unwant(interval: Duration.Duration): Effect.Effect<void> {
    return this.shared.feed.unwant(interval)
  }

  close(outcome: RunOutcome): Effect.Effect<void> {
    return Effect.uninterruptible(this.closing(outcome))
  }

  detect(run: Run, request: StopRequest | StopReason, by: DetectedBy): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        this.stepUnsafe(
          run,
          typeof request === "string"
            ? StopRequest.make({ userAbortedAt: now, reason: request })
            : request,
          by,
          now
        )
      )
    )
  }

  stepUnsafe(run: Run, request: StopRequest, by: DetectedBy, at: number): Effect.Effect<void> {
    if (this.closed || this.detection.isCancelledUnsafe()) return Effect.void
    const event = CancellationEvent.make({ run, request, detectedAt: at, detectedBy: by })
    // Before the step: interrupted work ends, and its run closes, within it.
    if (by !== "local") this.unobserved = this.partOf(runKey(run))
    this.detection.stepUnsafe(event)
    return Effect.uninterruptible(this.afterStep(event))
  }

  started(part: Part, record: RunRecord): Effect.Effect<void> {
    part.seen = true
    if (record.request !== undefined) return this.detect(part.run, record.request, "start")
    if (record.outcome === undefined) return Effect.void
    part.stale = true
    return Effect.logWarning(
      `This run ended before (${record.outcome}), so no stop can reach it: begin a new attempt with a new runId`
    ).pipe(Effect.annotateLogs(annotations(part.run)), Effect.provideContext(this.context))
  }

  private partOf(key: string): Part | undefined {
    return this.parts.find((part) => part.key === key)
  }

  private begin(run: Run): Effect.Effect<void> {
    if (this.closed) return Effect.void
    const { feed, live, store, writes } = this.shared
    const key = runKey(run)
    const part = new Part(this, run, key)
    this.parts = [...this.parts, part]
    live.set(key, (live.get(key) ?? 0) + 1)
    return Effect.flatMap(feed.add(part), () => {
      // Closed or cancelled meanwhile by another fiber: nothing would remove it again.
      if (this.closed || this.detection.isCancelledUnsafe()) return feed.remove([part])
      // For a store that knows runs the answer to the start is the first look.
      return store.supports.runs ? writes.start(part) : feed.firstLook(part)
    })
  }

  // `runSync` cannot wait: it is told what the store knows.
  private lookAndWait(all: ReadonlyArray<Part>): Effect.Effect<void> {
    const { feed, pollTimeout, writes } = this.shared
    return Effect.flatMap(Scheduler.Scheduler, ({ executionMode }) => {
      if (executionMode === "sync") return feed.look(all, "check")
      // A stop that came first waits for the start, and is in its answer. What was sent before may
      // have been answered before a stop; what is sent from now on is a look in itself.
      const unanswered = all.filter(isUnanswered)
      const unsent = unanswered.filter(({ start }) => start === "waiting")
      const answers = Effect.flatMap(writes.answered(unanswered), () =>
        this.closed || this.detection.isCancelledUnsafe()
          ? Effect.void
          : feed.look(
              unanswered.filter((part) => part.failure !== undefined || !unsent.includes(part)),
              "check"
            )
      ).pipe(Effect.timeoutOption(pollTimeout))
      const known = all.filter((part) => !unanswered.includes(part))
      return Effect.all([feed.look(known, "check"), answers], { concurrency: 2 }).pipe(
        // A stop that is found in another way meanwhile ends the waiting.
        Effect.raceFirst(this.detection.cancellation),
        Effect.asVoid
      )
    })
  }

  private afterStep(event: CancellationEvent): Effect.Effect<void> {
    const { feed } = this.shared
    return this.detection
      .startHandlers(event.detectedBy === "check")
      .pipe(
        Effect.andThen(Effect.suspend(() => feed.remove(this.parts))),
        Effect.andThen(feed.unwant(this.pollInterval)),
        Effect.andThen(this.tellObserved),
        Effect.andThen(Effect.suspend(() => this.announce(event)))
      )
  }

  private closing(outcome: RunOutcome): Effect.Effect<void> {
    const { feed, lease, open, store, writes } = this.shared
    const end = Effect.suspend(() => {
      runsWatched.modifyUnsafe(-1, this.context)
      open.remove(this)
      return Effect.void
    })
    return Effect.suspend(() => {
      this.closed = true
      return feed.remove(this.parts)
    }).pipe(
      Effect.flatMap(() =>
        this.detection.isCancelledUnsafe() ? Effect.void : feed.unwant(this.pollInterval)
      ),
      Effect.flatMap(() => this.detection.close),
      Effect.flatMap(() => this.tellObserved),
      Effect.flatMap(() => {
        const over = this.parts.filter(({ key }) => this.isLastOf(key))
        return store.supports.runs ? writes.ended(over, outcome) : Effect.void
      }),
      Effect.flatMap(() => (lease === undefined ? end : Effect.andThen(lease.release, end)))
    )
  }

  /** Whether no other watch has the run. */
  private isLastOf(key: string): boolean {
    const { live } = this.shared
    const others = (live.get(key) ?? 1) - 1
    if (others > 0) live.set(key, others)
    else live.delete(key)
    return others === 0
  }

  private get tellObserved(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const part = this.unobserved
      this.unobserved = undefined
      if (part === undefined || !this.shared.store.supports.runs) return Effect.void
      // A stop was found for it, so the store knows it, whether or not its start has arrived.
      if (part.start === "waiting") part.start = "known"
      return this.shared.writes.observed(part)
    })
  }

  private announce(event: CancellationEvent): Effect.Effect<void> {
    const attributes = {
      ...annotations(event.run),
      "effect_cancellation.reason": event.request.reason,
      "effect_cancellation.detected_by": event.detectedBy
    }
    return Effect.logInfo("Run cancelled").pipe(
      Effect.andThen(
        Metric.update(Metric.withAttributes(stopsDetected, { detected_by: event.detectedBy }), 1)
      ),
      Effect.annotateLogs(attributes),
      Effect.withSpan("CancellationWatcher.detected", { attributes }, { captureStackTrace: false }),
      Effect.provideContext(this.context)
    )
  }
}
