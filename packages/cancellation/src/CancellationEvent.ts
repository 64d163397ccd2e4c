/**
 * What a program observes when its run is to stop.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Run } from "./Message.ts"
import { StopRequest } from "./StopRequest.ts"

/**
 * How a stop was found: by a `check`, by a poll, by a look after a hint, by the look at the start
 * of the run, or from inside the process (`cancel`, a drain, a deleted row, a store out of reach).
 *
 * @category models
 * @since 0.1.0
 */
export const DetectedBy = Schema.Literals(["check", "poll", "hint", "start", "local"])
/** A value of {@link DetectedBy}. @category models @since 0.1.0 */
export type DetectedBy = typeof DetectedBy.Type

/**
 * A run has been cancelled: which run (the segment that was stopped), by which request, when it was
 * detected (milliseconds since 1970 by this process's clock) and how.
 *
 * `request.userAbortedAt` is by the store's clock, so the two times must not be subtracted.
 *
 * @category models
 * @since 0.1.0
 */
export class CancellationEvent extends Schema.Class<CancellationEvent>(
  "effect-cancellation/CancellationEvent"
)({
  run: Run,
  request: StopRequest,
  detectedAt: Schema.Finite,
  detectedBy: DetectedBy
}) {}
