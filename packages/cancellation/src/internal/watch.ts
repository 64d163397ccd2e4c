/**
 * One watcher's place in the repo: the segments of its turn, looked at together and ended together.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constant } from "effect/Function"
import * as Scheduler from "effect/Scheduler"
import { CancellationEvent, type DetectedBy } from "../CancellationEvent.ts"
import { runsWatched } from "../CancellationMetrics.ts"
import { type MessageId, messageKey, MessageRef, Run, runKey } from "../Message.ts"
import type { MessageStore } from "../MessageStore.ts"
import { type RunOutcome, type RunRecord, type StopReason, StopRequest } from "../StopRequest.ts"
import { announced } from "./announcement.ts"
import { erasing, isUnanswered } from "./chronicle.ts"
import type { Detection } from "./detection.ts"
import type { Feed } from "./feed.ts"
import { afterRest, inSteps, type Step } from "./inSteps.ts"
import type { LeaseHolder } from "./lease.ts"
import type { LiveRuns } from "./liveRuns.ts"
import type { OpenWatches } from "./openWatches.ts"
import { Part } from "./part.ts"
import type { Listed } from "./roster.ts"
import { annotations } from "./words.ts"
import type { Writes } from "./writes.ts"

/** A run as `CancellationWatcher` sees it. */
export interface Watch {
  /** The segment written now. */
  readonly run: Effect.Effect<Run>
  /** Asks the store once, and goes on with what follows; a step. */
  readonly look: <A>(then: () => Effect.Effect<A>) => Effect.Effect<A>
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
  /** Tells the store of the run, and looks at it from now on. A step; call it uninterruptibly. */
  readonly open: () => Effect.Effect<void>
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
  readonly live: LiveRuns
  readonly pollTimeout: Duration.Duration
  /** Runs that open are cancelled. */
  readonly isDraining: () => boolean
}

export interface WatchOptions {
  readonly run: Run
  readonly pollInterval: Duration.Duration
  readonly detection: Detection
  /** The run's own, so that its log lines and spans are found with the program's. */
  readonly context: Context.Context<never>
}

const unchecked = { disableChecks: true }
const nothing = constant(Effect.void)

// A class, because there is one for each run, as of `Detection`.
export class RunWatch implements Watch, Listed<RunWatch> {
  previous: RunWatch | undefined = undefined
  next: RunWatch | undefined = undefined
  isListed = false
  private readonly shared: WatchContext
  private readonly detection: Detection
  private readonly pollInterval: Duration.Duration
  private readonly context: Context.Context<never>
  /** The segment written now. */
  private current: Run
  private parts: ReadonlyArray<Part> = []
  /** The segment whose stop was found in the store, until the store has been told so. */
  private unobserved: Part | undefined
  private closed = false
  private outcome: RunOutcome = "completed"

  private static readonly opening: ReadonlyArray<Step<RunWatch>> = [
    ({ shared }) => shared.lease?.hold() ?? Effect.void,
    ({ pollInterval, shared }) => shared.feed.want(pollInterval),
    (watch) => watch.begin(watch.current),
    (watch) => (watch.shared.isDraining() ? watch.cancel("shutdown") : Effect.void)
  ]

  private static readonly stopping: ReadonlyArray<Step<RunWatch>> = [
    ({ detection }) => detection.startHandlers(),
    ({ parts, shared }) => shared.feed.remove(parts),
    ({ pollInterval, shared }) => shared.feed.unwant(pollInterval),
    (watch) => watch.tellObserved(),
    (watch) => watch.announce()
  ]

  private static readonly ending: ReadonlyArray<Step<RunWatch>> = [
    ({ parts, shared }) => shared.feed.remove(parts),
    ({ detection, pollInterval, shared }) =>
      detection.isCancelledUnsafe() ? Effect.void : shared.feed.unwant(pollInterval),
    ({ detection }) => detection.close(),
    (watch) => watch.tellObserved(),
    (watch) => watch.writeOutcome(),
    (watch) => watch.leave()
  ]

  constructor(shared: WatchContext, { context, detection, pollInterval, run }: WatchOptions) {
    this.shared = shared
    this.detection = detection
    this.pollInterval = pollInterval
    this.context = context
    this.current = run
  }

  open(): Effect.Effect<void> {
    runsWatched.modifyUnsafe(1, this.context)
    this.shared.open.add(this)
    return inSteps(this, RunWatch.opening)
  }

  get run(): Effect.Effect<Run> {
    return Effect.sync(() => this.current)
  }

  look<A>(then: () => Effect.Effect<A>): Effect.Effect<A> {
    if (this.closed) return then()
    const { feed, store } = this.shared
    return store.supports.runs && this.parts.some(isUnanswered)
      ? Effect.flatMap(this.lookAndWait(this.parts), then)
      : feed.look(this.parts, "check", then)
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
    return Effect.suspend(() => this.shared.feed.want(interval))
  }

  unwant(interval: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => this.shared.feed.unwant(interval))
  }

  close(outcome: RunOutcome): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.suspend(() => (this.closed ? Effect.void : this.closing(outcome)))
    )
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
    // Of parts that have been looked at.
    const event = new CancellationEvent({ run, request, detectedAt: at, detectedBy: by }, unchecked)
    // Before the step: interrupted work ends, and its run closes, within it.
    if (by !== "local") this.unobserved = this.partOf(runKey(run))
    this.detection.stepUnsafe(event)
    return Effect.uninterruptible(Effect.suspend(() => inSteps(this, RunWatch.stopping)))
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
    const part = this.shared.store.supports.runs
      ? this.joinRun(run)
      : new Part(this, run, messageKey(run.ref))
    this.parts = [...this.parts, part]
    return afterRest(this.shared.feed.add(part), () => this.tell(part))
  }

  private joinRun(run: Run): Part {
    const key = runKey(run)
    const part = new Part(this, run, key, key)
    // Another may have told the store of it: its end is told, whether or not this start was sent.
    if (!this.shared.live.join(key)) part.start = "sent"
    return part
  }

  private tell(part: Part): Effect.Effect<void> {
    const { feed, store, writes } = this.shared
    const start = () => writes.start(part)
    // Cancelled meanwhile by another fiber: nothing would remove it again before its end.
    const isCancelled = this.detection.isCancelledUnsafe()
    if (isCancelled) return afterRest(feed.remove([part]), part.start === "sent" ? start : nothing)
    // For a store that knows runs the answer to the start is the first look.
    return store.supports.runs ? start() : feed.firstLook(part)
  }

  // `runSync` cannot wait: it is told what the store knows.
  private lookAndWait(all: ReadonlyArray<Part>): Effect.Effect<void> {
    const { feed, pollTimeout, writes } = this.shared
    return Effect.flatMap(Scheduler.Scheduler, ({ executionMode }) => {
      const look = (some: ReadonlyArray<Part>) => feed.look(some, "check", nothing)
      if (executionMode === "sync") return look(all)
      // A stop that came first waits for the start, and is in its answer. What was sent before may
      // have been answered before a stop; what is sent from now on is a look in itself.
      const unanswered = all.filter(isUnanswered)
      const unsent = unanswered.filter(({ start }) => start === "waiting")
      const answers = Effect.flatMap(writes.answered(unanswered), () =>
        look(unanswered.filter((part) => part.failure !== undefined || !unsent.includes(part)))
      ).pipe(Effect.timeoutOption(pollTimeout))
      const known = all.filter((part) => !unanswered.includes(part))
      return Effect.all([look(known), answers], { concurrency: 2 }).pipe(
        // A stop that is found in another way meanwhile ends the waiting.
        Effect.raceFirst(this.detection.cancellation),
        Effect.asVoid
      )
    })
  }

  private closing(outcome: RunOutcome): Effect.Effect<void> {
    this.closed = true
    this.outcome = outcome
    return inSteps(this, RunWatch.ending)
  }

  private writeOutcome(): Effect.Effect<void> {
    const { live, store, writes } = this.shared
    if (!store.supports.runs) return Effect.void
    const over: Array<Part> = []
    for (const part of this.parts) {
      if (live.leave(part.key)) over.push(part)
      else writes.left(part)
    }
    return writes.ended(over, this.outcome)
  }

  private leave(): Effect.Effect<void> {
    this.shared.lease?.release()
    runsWatched.modifyUnsafe(-1, this.context)
    this.shared.open.remove(this)
    return Effect.void
  }

  private tellObserved(): Effect.Effect<void> {
    const part = this.unobserved
    this.unobserved = undefined
    if (part === undefined || !this.shared.store.supports.runs) return Effect.void
    // A stop was found for it, so the store knows it, whether or not its start has arrived.
    if (part.start === "waiting") part.start = "known"
    return this.shared.writes.observed(part)
  }

  private announce(): Effect.Effect<void> {
    const event = this.detection.eventUnsafe()
    return event ? announced(event, this.context) : Effect.void
  }
}
