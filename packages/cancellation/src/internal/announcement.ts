/**
 * What is counted, traced and logged of a stop that was detected.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import type { CancellationEvent } from "../CancellationEvent.ts"
import { stopsDetected } from "../CancellationMetrics.ts"
import { annotations } from "./words.ts"

/** In the context of the run, so that it is found with what the program traces and logs. */
export const announced = (
  event: CancellationEvent,
  context: Context.Context<never>
): Effect.Effect<void> => {
  const attributes = {
    ...annotations(event.run),
    "effect_cancellation.reason": event.request.reason,
    "effect_cancellation.detected_by": event.detectedBy
  }
  Metric.withAttributes(stopsDetected, { detected_by: event.detectedBy }).updateUnsafe(1, context)
  const told = Effect.annotateLogs(Effect.logInfo("Run cancelled"), attributes)
  return Effect.useSpan("CancellationWatcher.detected", { attributes }, (span) =>
    // A line that nobody reads needs no context of its own: very many runs may be stopped at once.
    Effect.flatMap(LogLevel.isEnabled("Info"), (isRead) =>
      isRead ? Effect.withParentSpan(told, span) : Effect.void
    )
  ).pipe(
    Effect.updateContext((_: Context.Context<never>) => context),
    // A logger or tracer that throws must not keep other runs of the same look from their handlers.
    Effect.catchCause(() => Effect.void)
  )
}
