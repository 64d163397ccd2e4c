/**
 * Keeps what a tool is given out of traces: effect/ai writes the parameters of a call to the span in
 * which it is handled, and what a person has said has no place there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** Spans of the effect's own keep their parent; the parent itself it cannot write to. */
export const unannotated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.serviceOption(Tracer.ParentSpan),
    Option.match({
      onNone: () => effect,
      onSome: (span) => Effect.provideService(effect, Tracer.ParentSpan, Tracer.externalSpan(span))
    })
  )
