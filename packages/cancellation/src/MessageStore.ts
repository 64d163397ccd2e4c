/**
 * The port to a database: runs, and the stops asked of them.
 *
 * A store is dumb: what a stop means is in `MessageRepo` and `CancellationWatcher`. It keeps rows,
 * and each of its operations keeps one exact promise, checked by the contract suite of
 * `effect-cancellation-testing`. All stored times are the store's own clock.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { type LookupRow, makeLookupStore } from "./internal/lookupStore.ts"
import { makeMemoryStore } from "./internal/memoryStore.ts"
import {
  ChatId,
  CompanyId,
  MessageId,
  MessageRef,
  type ProcessId,
  type Run,
  UserId
} from "./Message.ts"
import type { MessageStoreError } from "./MessageStoreError.ts"
import type {
  RunOutcome,
  RunRecord,
  StopIntent,
  StopReceipt,
  StopRequest,
  StopTarget
} from "./StopRequest.ts"

/**
 * What a store can do. An operation it does not support fails with the reason `Unsupported`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Supports {
  /** `startRuns` and `advanceRuns`: it knows runs, so a stop is aimed at one attempt. */
  readonly runs: boolean
  /** `requestStop`. */
  readonly stops: boolean
  /** `findRuns`. */
  readonly find: boolean
  /** `renewLease` and `sweepLost`. */
  readonly leases: boolean
  /** `forget`. */
  readonly erasure: boolean
  /** It publishes hints inside its own transaction, so the repo need not. */
  readonly hints: boolean
}

/**
 * The answer to the hot read.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopLook {
  /** The stops found. */
  readonly requests: ReadonlyArray<{ readonly run: Run; readonly request: StopRequest }>
  /** Runs that have no row. The feed decides whether one was seen before. */
  readonly gone: ReadonlyArray<Run>
  /** Runs that a sweeper has marked `lost`. */
  readonly lost: ReadonlyArray<Run>
  /** Rows that could not be read; they hide no other row. */
  readonly failures: ReadonlyArray<{ readonly run: Run; readonly error: MessageStoreError }>
  /** The store's time at the read, in milliseconds since 1970. */
  readonly now: number
}

/**
 * A process's claim that it is alive.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly owner: ProcessId
  /** For how long from now, by the store's clock. */
  readonly ttl: Duration.Duration
}

/**
 * A step forward of one run: its stop was observed, or it has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunChange {
  readonly run: Run
  readonly to: "observed" | RunOutcome
}

/**
 * Which runs to find. With a `Chat` or `Company`, `userId` narrows if it is given, and with a `Chat`
 * so does `messageId`; refs match exactly.
 *
 * @category models
 * @since 0.1.0
 */
export const RunQuery = Schema.TaggedUnion({
  Refs: { refs: Schema.Array(MessageRef), runningOnly: Schema.optionalKey(Schema.Boolean) },
  Chat: {
    companyId: Schema.optionalKey(CompanyId),
    userId: Schema.optionalKey(UserId),
    chatId: ChatId,
    messageId: Schema.optionalKey(MessageId),
    runningOnly: Schema.optionalKey(Schema.Boolean)
  },
  Company: {
    companyId: Schema.optionalKey(CompanyId),
    userId: Schema.optionalKey(UserId),
    runningOnly: Schema.optionalKey(Schema.Boolean)
  }
})
/** A query of {@link RunQuery}. @category models @since 0.1.0 */
export type RunQuery = typeof RunQuery.Type

/**
 * What to erase: all of a user, all of a chat, or runs that ended before a time (milliseconds since
 * 1970, by the store's clock). Runs still running are erased with their user or chat, never by age.
 *
 * @category models
 * @since 0.1.0
 */
export const ForgetQuery = Schema.TaggedUnion({
  User: { companyId: Schema.optionalKey(CompanyId), userId: UserId },
  Chat: {
    companyId: Schema.optionalKey(CompanyId),
    userId: Schema.optionalKey(UserId),
    chatId: ChatId
  },
  EndedBefore: { time: Schema.Finite }
})
/** A query of {@link ForgetQuery}. @category models @since 0.1.0 */
export type ForgetQuery = typeof ForgetQuery.Type

/**
 * The operations of a store. Lists are at most `chunkSize` long (an option of the repo), and each
 * call is one round trip. In every operation company, user and chat must match: another tenant's
 * row is as if it were not there.
 *
 * @category services
 * @since 0.1.0
 */
export class MessageStore extends Context.Service<
  MessageStore,
  {
    /** What this store can do. */
    readonly supports: Supports

    /** The hot read. Fails only if nothing could be read. */
    readonly stopRequests: (runs: ReadonlyArray<Run>) => Effect.Effect<StopLook, MessageStoreError>

    /**
     * Starts runs, and answers them as they stand, each run's stop included: the first look.
     *
     * A new `runId` becomes the message's current run, clean; it takes up a stop that waited for it.
     * The same `runId` again stays as it stands, and belongs to the given owner from then on unless
     * it has ended. With a lease, the owner's lease is renewed in the same transaction.
     */
    readonly startRuns: (
      runs: ReadonlyArray<Run>,
      lease?: Lease
    ) => Effect.Effect<ReadonlyArray<RunRecord>, MessageStoreError>

    /**
     * Records a stop and answers how it stands, one receipt a run.
     *
     * The first actor and time stay; twice is once. After an outcome nothing is written: `TooLate`.
     * An older run: `Superseded`. Nothing there yet: `Pending`, kept for a while (30 s by default)
     * for a run that starts in it. For a chat in which nothing runs, a run that ended within that
     * while is `TooLate` instead, so that a late stop cannot end the next message.
     */
    readonly requestStop: (
      target: StopTarget,
      intent: StopIntent
    ) => Effect.Effect<ReadonlyArray<StopReceipt>, MessageStoreError>

    /**
     * Moves runs forward, in order, and answers them as they then stand. The first outcome wins;
     * `stopped` and `abandoned` imply observed. A run without a row is left out, never made.
     */
    readonly advanceRuns: (
      changes: ReadonlyArray<RunChange>
    ) => Effect.Effect<ReadonlyArray<RunRecord>, MessageStoreError>

    /** Finds runs, oldest first. */
    readonly findRuns: (
      query: RunQuery
    ) => Effect.Effect<ReadonlyArray<RunRecord>, MessageStoreError>

    /** Says that a process is alive: one row a process, whatever the number of its runs. */
    readonly renewLease: (lease: Lease) => Effect.Effect<void, MessageStoreError>

    /** Marks `lost` what has no outcome and whose owner's lease has expired; answers those runs. */
    readonly sweepLost: Effect.Effect<ReadonlyArray<RunRecord>, MessageStoreError>

    /** Erases runs and stops; answers how many runs. */
    readonly forget: (query: ForgetQuery) => Effect.Effect<number, MessageStoreError>
  }
>()("effect-cancellation/MessageStore") {
  /**
   * A store in this process's memory, complete; for tests, and for programs of one process.
   *
   * `tombstoneTtl` (30 seconds) is how long a stop waits for a run that has not begun.
   */
  static readonly layerMemory = (options?: {
    readonly tombstoneTtl?: Duration.Input | undefined
  }): Layer.Layer<MessageStore> => Layer.effect(this, makeMemoryStore(options))

  /**
   * A store made from one function, for a database that only has a flag on its messages: watching
   * works, everything else answers `Unsupported`.
   *
   * The function is given the messages watched and answers their rows; a message it leaves out has
   * no row. `userAbortedAt` is a `Date`, an ISO string or milliseconds, or nothing. Such a flag
   * knows no runs, so clear it before the same message is written anew.
   *
   * ```ts
   * import { Effect } from "effect"
   * import { MessageStore } from "effect-cancellation"
   *
   * const Store = MessageStore.fromLookup((refs) =>
   *   Effect.succeed(refs.map((ref) => ({ ref, userAbortedAt: null })))
   * )
   * ```
   */
  static readonly fromLookup = <E>(
    lookup: (refs: ReadonlyArray<MessageRef>) => Effect.Effect<ReadonlyArray<LookupRow>, E>
  ): Layer.Layer<MessageStore> => Layer.succeed(this, makeLookupStore(lookup))
}

export type { LookupRow } from "./internal/lookupStore.ts"
