/**
 * What the model said, as far as it came.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { LanguageModel, Prompt, Response, Tool, Toolkit } from "effect/ai"
import type { CancellationEvent } from "effect-cancellation"

/**
 * A wish of the model: the tool's name may be one that there is not, and nobody has looked at the
 * parameters yet.
 *
 * @category models
 * @since 0.1.0
 */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly params: unknown
}

/**
 * What the model is asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamCompleteOptions<Tools extends Record<string, Tool.Any>> {
  /** All that was said so far. */
  readonly prompt: Prompt.RawInput
  /** The tools that the model may wish for. */
  readonly toolkit?: Toolkit.Toolkit<Tools> | Toolkit.WithHandler<Tools> | undefined
  /** Whether it may, or must. Default `auto`. */
  readonly toolChoice?:
    | LanguageModel.ToolChoice<{ [Name in keyof Tools]: Tools[Name]["name"] }[keyof Tools]>
    | undefined
  /**
   * Told at each word the whole text that this run has written into the message, for those who look
   * at it being written. It is waited for, so let it be quick; a stop interrupts it.
   */
  readonly onText?: ((text: string) => Effect.Effect<void>) | undefined
}

/**
 * The answer of a model; after a stop, the part that came before it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completion {
  /** What was said. */
  readonly text: string
  /** All parts as they came. */
  readonly parts: ReadonlyArray<Response.AnyPart>
  /** The tools it wishes for; one of which the parameters came only in part is not among them. */
  readonly toolCalls: ReadonlyArray<ToolCall>
  /**
   * The tokens used. Most providers tell them only at the end of an answer; so after a stop it is
   * mostly `undefined`, although what came until then is paid for. Of a server of chat completions
   * that tells them in each chunk it is what it told last.
   */
  readonly usage: Response.Usage | undefined
  /** Why the model ended; `undefined` if it was cut short. */
  readonly finishReason: Response.FinishReason | undefined
  /** The user pressed Stop. False for a deadline, a shutdown and every other reason. */
  readonly stoppedByUser: boolean
  /** Why it was cut short; `undefined` if it was not. */
  readonly cancellation: CancellationEvent | undefined
}
