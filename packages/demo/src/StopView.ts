/**
 * The stop of a message's run, as the page shows it.
 */
import * as Schema from "effect/Schema"
import { type RunRecord, StopReason } from "effect-cancellation"

/** Times are whole milliseconds by the database's own clock, so they may be subtracted. */
export class StopView extends Schema.Class<StopView>("effect-cancellation-demo/StopView")({
  reason: StopReason,
  askedAt: Schema.Int,
  endedAt: Schema.optionalKey(Schema.Int)
}) {}

/** The stop that was asked of a run, if one was. */
export const stopOf = ({ endedAt, request }: RunRecord): StopView | undefined =>
  request === undefined
    ? undefined
    : StopView.make({
        reason: request.reason,
        askedAt: whole(request.userAbortedAt),
        ...(endedAt === undefined ? {} : { endedAt: whole(endedAt) })
      })

/** As the Stop API writes a time. */
export const whole = (millis: number): number => Math.trunc(millis)
