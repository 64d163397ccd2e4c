/**
 * The words of the chat-completions protocol that a request is made of.
 *
 * @since 0.1.0
 */
import type { JsonSchema } from "effect/JsonSchema"

/**
 * A piece of a message of several pieces.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsText {
  type: "text"
  text: string
}

/**
 * An image, by its address or as a `data:` URL.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsImage {
  type: "image_url"
  image_url: { url: string }
}

/**
 * A call of a function, as the model asked for it; `arguments` is JSON text.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsToolCall {
  id: string
  type: "function"
  function: { name: string; arguments: string }
}

/**
 * What the assistant said and called.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsAssistantMessage {
  role: "assistant"
  /** Null only if there are calls. */
  content: string | Array<ChatCompletionsText> | null
  tool_calls?: Array<ChatCompletionsToolCall>
}

/**
 * One message of the history that a request carries.
 *
 * @category models
 * @since 0.1.0
 */
export type ChatCompletionsMessage =
  | { role: "system"; content: string }
  | { role: "user"; content: string | Array<ChatCompletionsText | ChatCompletionsImage> }
  | ChatCompletionsAssistantMessage
  | { role: "tool"; tool_call_id: string; content: string }

/**
 * A function that the model may call.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsTool {
  type: "function"
  function: { name: string; description?: string; parameters: JsonSchema; strict?: boolean }
}

/**
 * What is asked for; the client adds `stream: true`. Whatever `extra` has is in it too.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsBody {
  model: string
  messages: Array<ChatCompletionsMessage>
  tools?: Array<ChatCompletionsTool>
  tool_choice?: "auto" | "none" | "required" | { type: "function"; function: { name: string } }
  response_format?: {
    type: "json_schema"
    json_schema: { name: string; schema: JsonSchema }
  }
}
