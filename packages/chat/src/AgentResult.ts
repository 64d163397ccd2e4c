/**
 * How an agent's work ended.
 *
 * @since 0.1.0
 */
import type { Prompt, Response } from "effect/ai"
import type { CancellationEvent } from "effect-cancellation"
import type { EndedCall } from "./AgentEvent.ts"

/**
 * What was said and done, as far as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentWork {
  /** The words of all steps, with an empty line between two steps. */
  readonly text: string
  /**
   * What follows the prompt in the history: the assistant's messages and the results of their tool
   * calls. Every call in it has its result, so the next turn can begin with it.
   */
  readonly messages: ReadonlyArray<Prompt.Message>
  /** The tokens of all steps, as far as the provider told. */
  readonly usage: Response.Usage | undefined
  /** How often the model was asked. */
  readonly iterations: number
}

/**
 * What a stop came upon: nothing (between two steps), the model's answer, or its tools.
 *
 * @category models
 * @since 0.1.0
 */
export type UnderWay =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Model" }
  | { readonly _tag: "Tools"; readonly calls: ReadonlyArray<EndedCall> }

/**
 * The model has no more wishes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completed extends AgentWork {
  readonly _tag: "Completed"
  /** Why the model ended. `length` says that its answer is cut off by its own limit. */
  readonly finishReason: Response.FinishReason | undefined
}

/**
 * The run was cancelled; `event.request.reason` says why, and is `user` only if the user wanted it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stopped extends AgentWork {
  readonly _tag: "Stopped"
  readonly event: CancellationEvent
  /** The user pressed Stop. */
  readonly stoppedByUser: boolean
  readonly underWay: UnderWay
}

/**
 * The model was asked `maxIterations` times and still wants tools.
 *
 * @category models
 * @since 0.1.0
 */
export interface LimitReached extends AgentWork {
  readonly _tag: "LimitReached"
}

/**
 * A failure is none of these: it stays a failure of the effect.
 *
 * @category models
 * @since 0.1.0
 */
export type AgentResult = Completed | Stopped | LimitReached
