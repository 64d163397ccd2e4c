/**
 * The optional push port: a hint that a stop may have been asked.
 *
 * A hint may be lost, doubled, late or wrong. It is never trusted by itself: it makes the feed look,
 * and polling finds whatever a hint did not announce.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Run } from "./Message.ts"

/**
 * What a signal says: a stop may have been asked of a run (`Hint`), or hints may have been missed, so
 * everything is to be looked at (`Reconnected`).
 *
 * @category models
 * @since 0.1.0
 */
export const StopHint = Schema.TaggedUnion({ Hint: { run: Run }, Reconnected: {} })
/** A value of {@link StopHint}. @category models @since 0.1.0 */
export type StopHint = typeof StopHint.Type

/**
 * Why a hint could not be published. It is logged, never shown: polling finds the stop.
 *
 * @category errors
 * @since 0.1.0
 */
export class StopSignalError extends Schema.TaggedError<StopSignalError>(
  "effect-cancellation/StopSignalError"
)("StopSignalError", { cause: Schema.Defect() }) {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `Other machines find the stop at their next poll, since the signal failed: ${why}`
  }
}

/**
 * The operations of a signal.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopSignalService {
  /** Tells all processes, this one too, that a stop may have been asked of a run. */
  readonly publish: (run: Run) => Effect.Effect<void, StopSignalError>
  /** What the processes say. Should it end, the feed subscribes again and looks at everything. */
  readonly hints: Stream.Stream<StopHint>
}

const none: StopSignalService = { publish: () => Effect.void, hints: Stream.never }

const reference = Context.Reference<StopSignalService>("effect-cancellation/StopSignal", {
  defaultValue: () => none
})

const layerMemory: Layer.Layer<never> = Layer.effect(
  reference,
  Effect.gen(function* () {
    const hints = yield* Effect.acquireRelease(PubSub.unbounded<StopHint>(), PubSub.shutdown)
    return {
      publish: (run: Run) =>
        Effect.asVoid(PubSub.publish(hints, StopHint.cases.Hint.make({ run }))),
      hints: Stream.fromPubSub(hints)
    }
  })
)

/**
 * The signal a `MessageRepo` listens to. By default there is none, and stops are found by polling.
 *
 * `StopSignal.layerMemory` is one within this process's memory: for tests, and for several repos in
 * one process.
 *
 * @category services
 * @since 0.1.0
 */
export const StopSignal = Object.assign(reference, { layerMemory })
