/**
 * The person's wish that a run stop, and how far it has come.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ChatId, CompanyId, MessageRef, ProcessId, Run, UserId } from "./Message.ts"

/**
 * Why a run is to stop: a closed set, with `other:<code>` for a reason of the application's own
 * (a code is 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`).
 *
 * @category models
 * @since 0.1.0
 */
export const StopReason = Schema.Union([
  Schema.Literals([
    "user",
    "disconnect",
    "deadline",
    "shutdown",
    "parent",
    "deleted",
    "unreachable"
  ]),
  Schema.TemplateLiteral(["other:", Schema.String.check(Schema.isPattern(/^[a-z0-9._-]{1,64}$/))])
])
/** A value of {@link StopReason}. @category models @since 0.1.0 */
export type StopReason = typeof StopReason.Type

/**
 * How a run ended; set once.
 *
 * `completed`: by itself. `stopped`: somebody wanted it. `failed`: by an error. `interrupted`: by
 * circumstance (a deadline, a shutdown, its caller). `abandoned`: it resisted the interrupt and was
 * given up. `lost`: its process is gone.
 *
 * @category models
 * @since 0.1.0
 */
export const RunOutcome = Schema.Literals([
  "completed",
  "stopped",
  "failed",
  "interrupted",
  "abandoned",
  "lost"
])
/** A value of {@link RunOutcome}. @category models @since 0.1.0 */
export type RunOutcome = typeof RunOutcome.Type

// A NUL or half a surrogate pair is stored by one database and refused or altered by another.
const storablePattern = /^[^\0\p{Cs}]*$/u

/**
 * A free remark on a stop, at most 500 characters, without NUL and lone surrogates. It is stored and
 * shown, and never appears in logs, spans, metrics or hints.
 *
 * @category models
 * @since 0.1.0
 */
export const StopNote = Schema.String.check(
  Schema.isMaxLength(500),
  Schema.isPattern(storablePattern, { expected: "text without NUL and lone surrogates" })
)

/**
 * What is asked: why, by whom, with which remark. The store adds the time.
 *
 * @category models
 * @since 0.1.0
 */
export class StopIntent extends Schema.Class<StopIntent>("effect-cancellation/StopIntent")({
  reason: StopReason,
  requestedBy: Schema.optionalKey(UserId),
  note: Schema.optionalKey(StopNote)
}) {}

/**
 * A stop as it is stored. `userAbortedAt` is in milliseconds since 1970 by the store's own clock.
 *
 * @category models
 * @since 0.1.0
 */
export class StopRequest extends Schema.Class<StopRequest>("effect-cancellation/StopRequest")({
  userAbortedAt: Schema.Finite,
  reason: StopReason,
  requestedBy: Schema.optionalKey(UserId),
  note: Schema.optionalKey(StopNote)
}) {}

/**
 * What a stop is aimed at: whatever runs in a chat, the current run of a message, or one run of it.
 *
 * ```ts
 * import { MessageRef, StopTarget } from "effect-cancellation"
 *
 * const target = StopTarget.cases.Message.make({
 *   ref: MessageRef.of({ chatId: "chat-1", messageId: "message-7" })
 * })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const StopTarget = Schema.TaggedUnion({
  Chat: {
    companyId: Schema.optionalKey(CompanyId),
    userId: Schema.optionalKey(UserId),
    chatId: ChatId
  },
  Message: { ref: MessageRef },
  Run: { run: Run }
})
/** A value of {@link StopTarget}. @category models @since 0.1.0 */
export type StopTarget = typeof StopTarget.Type

/**
 * A run as the store has it. Times are milliseconds since 1970 by the store's own clock.
 *
 * @category models
 * @since 0.1.0
 */
export class RunRecord extends Schema.Class<RunRecord>("effect-cancellation/RunRecord")({
  run: Run,
  /** The process that runs it, if the store keeps leases. */
  owner: Schema.optionalKey(ProcessId),
  startedAt: Schema.Finite,
  /** False once a newer run of the same message has started. */
  current: Schema.Boolean,
  request: Schema.optionalKey(StopRequest),
  observedAt: Schema.optionalKey(Schema.Finite),
  endedAt: Schema.optionalKey(Schema.Finite),
  outcome: Schema.optionalKey(RunOutcome)
}) {}

/**
 * How far a stop has come: enough for a page to show "Stopping…" and "Stopped" truthfully.
 *
 * `Pending`: nothing runs there yet; what starts there before `expiresAt` is stopped. `Requested`:
 * stored. `Observed`: the run has seen it. `Ended`: the run is over, and how. `TooLate`: the run
 * was over before it saw the stop. `Superseded`: a newer run of the message has taken its place.
 *
 * @category models
 * @since 0.1.0
 */
export const StopReceipt = Schema.TaggedUnion({
  Pending: { target: StopTarget, request: StopRequest, expiresAt: Schema.Finite },
  Requested: { run: Run, request: StopRequest },
  Observed: { run: Run, request: StopRequest, observedAt: Schema.Finite },
  Ended: {
    run: Run,
    request: StopRequest,
    observedAt: Schema.optionalKey(Schema.Finite),
    endedAt: Schema.Finite,
    outcome: RunOutcome
  },
  TooLate: {
    run: Run,
    request: Schema.optionalKey(StopRequest),
    endedAt: Schema.Finite,
    outcome: RunOutcome
  },
  Superseded: { run: Run }
})
/** A value of {@link StopReceipt}. @category models @since 0.1.0 */
export type StopReceipt = typeof StopReceipt.Type

/**
 * The receipt of the stop a run has, `undefined` if it has none.
 *
 * @category combinators
 * @since 0.1.0
 */
export const receiptOf = (record: RunRecord): StopReceipt | undefined => {
  const { endedAt, observedAt, outcome, request, run } = record
  if (request === undefined) return undefined
  if (endedAt === undefined || outcome === undefined) {
    return observedAt === undefined
      ? StopReceipt.cases.Requested.make({ run, request })
      : StopReceipt.cases.Observed.make({ run, request, observedAt })
  }
  // A run that is over without having seen the stop was not stopped by it.
  if (observedAt === undefined && outcome !== "lost") {
    return StopReceipt.cases.TooLate.make({ run, request, endedAt, outcome })
  }
  return StopReceipt.cases.Ended.make({
    run,
    request,
    ...(observedAt === undefined ? {} : { observedAt }),
    endedAt,
    outcome
  })
}
