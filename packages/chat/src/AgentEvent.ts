/**
 * What an agent does while it does it, for those who look on.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { ToolCall } from "./Completion.ts"

/**
 * How a tool call ended: by itself; interrupted by the stop; never begun, because the stop came
 * first; or run to its end after the stop, because the tool is `Uncancellable`.
 *
 * @category models
 * @since 0.1.0
 */
export type ToolEnd = "finished" | "interrupted" | "notStarted" | "ranOn"

/**
 * A tool call with how it ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndedCall extends ToolCall {
  readonly end: ToolEnd
  /** What the model is told. */
  readonly result: unknown
  readonly isFailure: boolean
}

/**
 * `Text`: the message shows `text` now, and `delta` is what was added to it. Reading `text` costs its
 * whole length each time, so whoever only passes words on takes `delta`. `ToolStarted`, `ToolEnded`: of one call, the first only of one
 * that began.
 *
 * @category models
 * @since 0.1.0
 */
export type AgentEvent = Data.TaggedEnum<{
  readonly Text: { readonly text: string; readonly delta: string }
  readonly ToolStarted: { readonly call: ToolCall }
  readonly ToolEnded: { readonly call: EndedCall }
}>
/** Makes and matches events. @category constructors @since 0.1.0 */
export const AgentEvent = Data.taggedEnum<AgentEvent>()
