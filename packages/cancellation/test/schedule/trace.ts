/**
 * What was observed while a schedule was played.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { CancellationEvent, CancellationWatcher, Run } from "../../src/index.ts"
import type { HandlerSpec, ProcessIndex, SessionSpec, WrapSpec } from "../schedule.ts"
import type { Aim } from "./aim.ts"

/** A moment: where in the order of all that was observed, when, and whether the flag was set. */
export interface Moment {
  readonly seq: number
  readonly time: number
  readonly flag: boolean
}

interface Settled extends Moment {
  readonly exit: Exit.Exit<unknown, unknown>
}

export interface WrapTrace {
  readonly id: string
  readonly spec: WrapSpec
  /** The grace period that holds for it, its own or its run's. */
  readonly grace: number | undefined
  readonly parent: WrapTrace | undefined
  readonly began: Moment
  workBegan: Moment | undefined
  workEnded: Settled | undefined
  returned: Settled | undefined
  /** When the fiber that runs it was told to end by somebody outside. */
  interrupted: Moment | undefined
}

export interface HandlerTrace {
  readonly spec: HandlerSpec
  readonly registered: Moment
  readonly events: Array<CancellationEvent>
  /** When it first ran. */
  ran: Moment | undefined
  /** When its scope closed. */
  removed: Moment | undefined
}

export interface StreamTrace {
  readonly began: Moment
  readonly parent: WrapTrace | undefined
  readonly produced: Array<Moment>
  readonly passed: Array<number>
  opened: boolean
  closed: Moment | undefined
  returned: Settled | undefined
  interrupted: Moment | undefined
}

interface CheckTrace {
  readonly began: Moment
  readonly ended: Moment
  readonly exit: Exit.Exit<boolean>
}

interface SubscriberTrace {
  readonly events: Array<CancellationEvent>
  ended: boolean
}

export interface SessionTrace {
  readonly index: number
  readonly spec: SessionSpec
  /** Where it began, and where it was retargeted to. */
  readonly segments: Array<Run>
  readonly wraps: Array<WrapTrace>
  readonly handlers: Array<HandlerTrace>
  readonly streams: Array<StreamTrace>
  readonly checks: Array<CheckTrace>
  readonly subscribers: Array<SubscriberTrace>
  watcher: CancellationWatcher["Service"] | undefined
  localCancels: number
  aborts: number
  /** The signal it took, if it took one. */
  signal: AbortSignal | undefined
  interrupted: boolean
  /** Its work is over, whatever the end of the run still waits for. */
  closing: boolean
  ended: Exit.Exit<unknown, unknown> | undefined
}

/** A hint that came when nothing else was under way, with all that it led to. */
export interface HintTrace {
  readonly process: ProcessIndex
  readonly about: Run | "everything"
  /** Segments that were watched, not cancelled and meant. */
  readonly watched: number
  readonly reads: number
  readonly rows: number
  /** Most rows that one look at what is meant can be about. */
  readonly allowedRows: number
  /** Sessions that had a stop in the store before the hint and were not cancelled after it. */
  readonly undetected: ReadonlyArray<number>
}

export interface Leftovers {
  /** What was left in the very step in which the last run ended, if nothing had a right to stay. */
  readonly atOnce: { readonly fibers: number; readonly sleepers: number } | undefined
  readonly fibers: number
  readonly sleepers: number
  readonly storeCalls: number
  readonly gauges: Readonly<Record<string, number>>
  /** Reads for a run begun afterwards, in a time in which its own interval wants two. */
  readonly readsOfNext: ReadonlyArray<number>
  readonly fibersAfterClose: number
  readonly sleepersAfterClose: number
}

export interface Trace {
  readonly sessions: ReadonlyArray<SessionTrace>
  readonly aim: Aim
  /** Runs the store holds, with whether it holds a stop for them. */
  readonly stored: ReadonlyArray<{ readonly run: Run; readonly stopped: boolean }>
  /** Reads about a run that nobody watched any more, or only who knew it to be cancelled. */
  readonly needlessReads: ReadonlyArray<string>
  readonly reads: number
  readonly hints: ReadonlyArray<HintTrace>
  /** Sessions that still ran, uncancelled, with a stop in the store, after enough quiet time. */
  readonly overlooked: ReadonlyArray<number>
  /** Sessions whose flag was once set and later not. */
  readonly unset: ReadonlyArray<number>
  /** Sessions that did not end though everything let them. */
  readonly endless: ReadonlyArray<number>
  readonly stopsDetected: number
  readonly logged: ReadonlyMap<string, number>
  readonly leftovers: Leftovers
}

export const isFlagged = (session: SessionTrace): boolean =>
  session.watcher !== undefined && Effect.runSync(session.watcher.isCancelled)

/** The event of a cancelled session. */
export const eventOf = (session: SessionTrace): CancellationEvent | undefined =>
  session.watcher !== undefined && isFlagged(session)
    ? Effect.runSync(session.watcher.cancellation)
    : undefined
