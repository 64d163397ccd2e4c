/**
 * Tools that no stop cuts short.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * Declares that a tool, once begun, runs to its end: a payment, a commit. A stop, a deadline and an
 * interrupt from outside wait for it; a stop before it begins still keeps it from beginning. Default:
 * false, a tool is interrupted where it stands.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Tool } from "effect/ai"
 * import { Uncancellable } from "effect-cancellation-chat"
 *
 * const Pay = Tool.make("Pay", {
 *   parameters: Schema.Struct({ amount: Schema.Finite })
 * }).annotate(Uncancellable, true)
 * ```
 *
 * @category annotations
 * @since 0.1.0
 */
export const Uncancellable: Context.Reference<boolean> = Context.Reference<boolean>(
  "effect-cancellation-chat/Uncancellable",
  { defaultValue: () => false }
)
