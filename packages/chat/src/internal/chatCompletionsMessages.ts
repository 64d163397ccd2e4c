/**
 * A prompt as messages of the chat-completions protocol.
 *
 * @since 0.1.0
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import * as Prompt from "effect/ai/Prompt"
import type {
  ChatCompletionsAssistantMessage,
  ChatCompletionsImage,
  ChatCompletionsMessage,
  ChatCompletionsText,
  ChatCompletionsToolCall
} from "./chatCompletionsProtocol.ts"

type Converted<A> = Result.Result<A, AiError.AiErrorReason>

/** The messages of a prompt, or what in it the protocol has no words for. */
export const messagesOf = (prompt: Prompt.Prompt): Converted<Array<ChatCompletionsMessage>> =>
  Result.gen(function* () {
    const messages: Array<ChatCompletionsMessage> = []
    for (const message of prompt.content) {
      switch (message.role) {
        case "system": {
          if (message.content !== "") messages.push({ role: "system", content: message.content })
          break
        }
        case "user": {
          const parts: Array<ChatCompletionsText | ChatCompletionsImage> = []
          for (const part of message.content) {
            if (part.type === "file") parts.push(yield* imageOf(part))
            else if (part.text !== "") parts.push({ type: "text", text: part.text })
          }
          const content = inShort(parts)
          if (content !== null) messages.push({ role: "user", content })
          break
        }
        case "assistant": {
          messages.push(...(yield* assistantOf(message)))
          break
        }
        case "tool": {
          for (const part of message.content) {
            if (part.type === "tool-result" && !part.providerExecuted) {
              messages.push(yield* resultOf(part))
            }
          }
        }
      }
    }
    return messages
  })

// Results may stand inside the assistant's message; the protocol wants them as messages after it,
// and what the assistant said after that as a message of its own.
const assistantOf = (message: Prompt.AssistantMessage) =>
  Result.gen(function* () {
    const messages: Array<ChatCompletionsMessage> = []
    let texts: Array<ChatCompletionsText> = []
    let calls: Array<ChatCompletionsToolCall> = []
    let results: Array<ChatCompletionsMessage> = []
    const flush = () => {
      const content = inShort(texts)
      if (calls.length > 0) messages.push({ role: "assistant", content, tool_calls: calls })
      else if (content !== null) {
        messages.push({ role: "assistant", content } satisfies ChatCompletionsAssistantMessage)
      }
      messages.push(...results)
      texts = []
      calls = []
      results = []
    }
    for (const part of message.content) {
      switch (part.type) {
        case "text": {
          if (part.text === "") break
          if (results.length > 0) flush()
          texts.push({ type: "text", text: part.text })
          break
        }
        case "tool-call": {
          if (part.providerExecuted) break
          if (results.length > 0) flush()
          calls.push(yield* callOf(part))
          break
        }
        case "tool-result": {
          if (!part.providerExecuted) results.push(yield* resultOf(part))
          break
        }
        case "file": {
          return yield* refuse(
            `the assistant's own file of type '${part.mediaType}' cannot be sent back to a model that speaks chat completions; leave it out of the prompt`
          )
        }
        // What the model thought is not part of the protocol, and an approval is nobody's words.
        case "reasoning":
        case "tool-approval-request":
      }
    }
    flush()
    return messages
  })

// Not every server that speaks the protocol takes a list where a string would do.
const inShort = <Part extends ChatCompletionsText | ChatCompletionsImage>(
  parts: Array<Part>
): string | Array<Part> | null => {
  const [first] = parts
  if (first === undefined) return null
  return parts.length === 1 && first.type === "text" ? first.text : parts
}

const callOf = (part: Prompt.ToolCallPart): Converted<ChatCompletionsToolCall> =>
  Result.mapBoth(asJson(part.params ?? {}), {
    onSuccess: (json) => ({
      id: part.id,
      type: "function" as const,
      function: { name: part.name, arguments: json }
    }),
    onFailure: (description) =>
      new AiError.ToolParameterValidationError({ toolName: part.name, description })
  })

const resultOf = (part: Prompt.ToolResultPart): Converted<ChatCompletionsMessage> => {
  const shown =
    part.modelOutput === undefined ? part.result : Prompt.toolModelOutputToText(part.modelOutput)
  return Result.mapBoth(
    // An empty string would be no content at all.
    typeof shown === "string" && shown !== "" ? Result.succeed(shown) : asJson(shown ?? null),
    {
      onSuccess: (content) => ({ role: "tool" as const, tool_call_id: part.id, content }),
      onFailure: (description) =>
        new AiError.ToolResultEncodingError({
          toolName: part.name,
          toolResult: undefined,
          description
        })
    }
  )
}

const asJson = (value: unknown): Result.Result<string, string> =>
  Result.try({
    try: () => JSON.stringify(value) ?? "null",
    catch: () =>
      "it cannot be written as JSON; put what the tool's schemas encode to into the prompt"
  })

const imageOf = (part: Prompt.FilePart): Converted<ChatCompletionsImage> => {
  if (!part.mediaType.startsWith("image/")) {
    return refuse(
      `a file of type '${part.mediaType}' cannot be sent by chat completions; only images can, and text`
    )
  }
  // A model is told the kind of image; `image/*` stands for one that nobody looked at.
  const mediaType = part.mediaType === "image/*" ? "image/jpeg" : part.mediaType
  const url =
    part.data instanceof URL
      ? part.data.href
      : typeof part.data !== "string"
        ? `data:${mediaType};base64,${Base64.encode(part.data)}`
        : /^(data|https?):/.test(part.data)
          ? part.data
          : `data:${mediaType};base64,${part.data}`
  return Result.succeed({ type: "image_url", image_url: { url } })
}

const refuse = (description: string): Result.Result<never, AiError.InvalidUserInputError> =>
  Result.fail(new AiError.InvalidUserInputError({ description }))
