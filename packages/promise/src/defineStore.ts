/**
 * A store of stops made of a program's own functions: for Drizzle, Prisma, MySQL, Mongo, or an API.
 *
 * @since 0.1.0
 */
import { definedSource } from "./internal/definedSource.ts"
import { storeOf } from "./internal/source.ts"
import type { RunRef } from "./Message.ts"
import type { RunOutcome, StopReason } from "./Stop.ts"
import type { StopStore } from "./StopStore.ts"

/**
 * A time of a row: a `Date`, milliseconds since 1970, or an ISO string.
 *
 * @category models
 * @since 0.1.0
 */
export type StoredTime = Date | number | string

/**
 * A run as functions get it: with all its ids. A chat without a company or user is that of `default`.
 *
 * @category models
 * @since 0.1.0
 */
export type StoredRun = Required<{ readonly [Id in keyof RunRef]: string }>

/**
 * A run's row, as functions answer it; `null` counts as absent. All times are of one clock, best the
 * database's. Other fields are ignored.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunRow {
  readonly companyId?: string | null | undefined
  readonly userId?: string | null | undefined
  readonly chatId: string
  readonly messageId: string
  readonly runId: string
  readonly startedAt: StoredTime
  /** False once a newer run of the same message has started; 0 and 1 will do. */
  readonly current: boolean | 0 | 1
  /** The process that runs it, if there are leases. */
  readonly owner?: string | null | undefined
  /** When its stop was asked; the next three are of the same stop. */
  readonly userAbortedAt?: StoredTime | null | undefined
  /** A `StopReason`; default `user`. */
  readonly reason?: string | null | undefined
  readonly requestedBy?: string | null | undefined
  readonly note?: string | null | undefined
  /** When the run saw its stop. */
  readonly observedAt?: StoredTime | null | undefined
  readonly endedAt?: StoredTime | null | undefined
  /** A `RunOutcome`; there is one if, and only if, there is an `endedAt`. */
  readonly outcome?: string | null | undefined
}

/**
 * A step forward of a run: its stop was observed, or it has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredChange {
  readonly run: StoredRun
  readonly to: "observed" | RunOutcome
}

/**
 * What a stop is aimed at: one run if there is a `runId`, else the current run of the message if there
 * is a `messageId`, else all that runs in the chat.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredTarget {
  readonly companyId: string
  readonly userId: string
  readonly chatId: string
  readonly messageId?: string
  readonly runId?: string
}

/**
 * A stop that is to be stored; the store adds the time.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredIntent {
  readonly reason: StopReason
  readonly requestedBy?: string
  readonly note?: string
}

/**
 * A stop that waits for a run which has not begun: as it was asked first, and until when it waits.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingStop {
  readonly pending: Pick<RunRow, "reason" | "requestedBy" | "note"> & {
    readonly userAbortedAt: StoredTime
  }
  readonly expiresAt: StoredTime
}

/**
 * A process's claim that it is alive: for `ttl` milliseconds from now.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredLease {
  readonly owner: string
  readonly ttl: number
}

/**
 * Which runs to find: all runs of the messages listed, or all in a place, in which absent ids match
 * any. With `runningOnly`, only those without an outcome.
 *
 * @category models
 * @since 0.1.0
 */
export type StoredQuery = { readonly runningOnly: boolean } & (
  | { readonly messages: ReadonlyArray<Omit<StoredRun, "runId">> }
  | {
      readonly messages?: never
      readonly companyId: string
      readonly userId?: string
      readonly chatId?: string
      readonly messageId?: string
    }
)

/**
 * What to erase: all of a person (a company and user), all of a chat, or runs that ended before a
 * time. Absent ids match any.
 *
 * @category models
 * @since 0.1.0
 */
export type StoredForget =
  | { readonly endedBefore: Date }
  | {
      readonly endedBefore?: never
      readonly companyId: string
      readonly userId?: string
      readonly chatId?: string
    }

type Rows = ReadonlyArray<RunRow>

/**
 * The functions of a store. Only `findStops` must be there; what is left out, the store cannot do.
 *
 * All ids must match exactly, case and spaces included: another tenant's row is as if it were not
 * there. A function that rejects makes the store unavailable, and it is asked again. Two processes may
 * call any two functions at once: what reads and then writes does so in one transaction.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreDefinition {
  /**
   * Answers the rows of these runs that there are, in any order: what every poll asks, so keep it to
   * one statement. A run left out has no row. `now`, if given, is the time of the store's own clock.
   */
  findStops(runs: ReadonlyArray<StoredRun>): Promise<Rows | { rows: Rows; now: StoredTime }>

  /**
   * Starts runs, and answers all of them as they then stand.
   *
   * A new `runId` becomes the only current run of its message, without a stop, unless one waits for
   * the run, its message or its chat: all such stops are taken away, and the first one asked, if its
   * time is not over, becomes the run's. A `runId` that is there already stays as it stands, whether
   * current or not; if it has no outcome, it belongs to the lease's owner from now on. A list may
   * name a run twice; of two runs of one message the later is current. With a lease, the same
   * transaction renews it.
   */
  startRuns?(runs: ReadonlyArray<StoredRun>, lease?: StoredLease): Promise<Rows>

  /**
   * Moves runs forward in the list's order, and answers them as they then stand.
   *
   * What has an outcome stays as it is: the first one wins. `observed` sets `observedAt` if there is a
   * stop and nothing is set yet, and so do the outcomes `stopped` and `abandoned`. An outcome sets
   * `endedAt`. A run without a row is left out of the answer, and never made.
   */
  advanceRuns?(changes: ReadonlyArray<StoredChange>): Promise<Rows>

  /**
   * Stores a stop, and answers the rows it was aimed at as they then stand.
   *
   * It is written only in current runs without an outcome and without a stop: the first one stays,
   * and a run that is over, or was replaced, is answered unchanged. In a chat in which nothing runs,
   * the current run that ended last is the answer, if that was less than `expiresAt` is away. Where
   * there is no run at all, keep the stop for one that begins soon (30 seconds is a good while), and
   * answer it as `{ pending, expiresAt }`; a second one is answered with the first. Without such a
   * place answer `[]`: whoever asked is told that there is no such run.
   */
  requestStop?(target: StoredTarget, intent: StoredIntent): Promise<Rows | PendingStop>

  /** Answers runs, oldest first. */
  findRuns?(query: StoredQuery): Promise<Rows>

  /** Stores that a process is alive: one row a process. */
  renewLease?(lease: StoredLease): Promise<void>

  /**
   * Ends as `lost`, with an `endedAt`, what has no outcome and has an owner whose lease is over or not
   * there; answers those runs, and only those.
   */
  sweepLost?(): Promise<Rows>

  /** Erases runs, and stops that wait in the same place; answers how many runs. By age only ended ones. */
  forget?(query: StoredForget): Promise<number>
}

/**
 * A message's row with a flag; `null` counts as absent.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlagRow {
  readonly companyId?: string | null | undefined
  readonly userId?: string | null | undefined
  readonly chatId: string
  readonly messageId: string
  /** When the person pressed Stop. */
  readonly userAbortedAt?: StoredTime | null | undefined
}

/**
 * The functions of a store that only has a flag on its messages, and knows no runs: clear the flag
 * before the same message is written anew.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlagStoreDefinition {
  /** Answers the rows of these messages that there are: what every poll asks. */
  findFlags(messages: ReadonlyArray<Omit<StoredRun, "runId">>): Promise<ReadonlyArray<FlagRow>>

  /**
   * Sets the flag of a message, or of what is still written in a chat, where it is not set yet;
   * answers the rows whose flag is set then. Left out, `stops.stop` is unsupported.
   */
  setFlags?(target: Omit<StoredTarget, "runId">): Promise<ReadonlyArray<FlagRow>>
}

/**
 * A store made of a program's own functions; throws a `TypeError` if they do not belong together.
 *
 * ```ts
 * import { createStops, defineStore } from "effect-cancellation-promise"
 *
 * declare const db: {
 *   messages: (ids: Array<string>) => Promise<
 *     Array<{ chatId: string; messageId: string; userAbortedAt: Date | null }>
 *   >
 * }
 *
 * const stops = createStops({
 *   store: defineStore({
 *     findFlags: (messages) => db.messages(messages.map(({ messageId }) => messageId))
 *   })
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const defineStore = (definition: StoreDefinition | FlagStoreDefinition): StopStore =>
  storeOf(definedSource(definition))
