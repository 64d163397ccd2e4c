/**
 * The body of a request: what effect/ai asks for, in the words of the chat-completions protocol.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import { messagesOf } from "./chatCompletionsMessages.ts"
import type { ChatCompletionsBody, ChatCompletionsTool } from "./chatCompletionsProtocol.ts"

/** The body for these options, or what in them the protocol has no words for. */
export const bodyOf = (
  model: string,
  extra: Readonly<Record<string, unknown>> | undefined,
  options: LanguageModel.ProviderOptions
): Result.Result<ChatCompletionsBody, AiError.AiErrorReason> =>
  Result.gen(function* () {
    const body: ChatCompletionsBody = {
      ...extra,
      model,
      messages: yield* messagesOf(options.prompt)
    }
    // Servers refuse a choice among no tools.
    if (options.tools.length > 0) {
      body.tools = []
      for (const tool of options.tools) body.tools.push(yield* toolOf(tool))
      body.tool_choice = choiceOf(options.toolChoice)
    }
    if (options.responseFormat.type === "json") {
      const { objectName, schema } = options.responseFormat
      body.response_format = {
        type: "json_schema",
        json_schema: {
          name: objectName.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64),
          schema: yield* schemaOf(() => LanguageModel.defaultCodecTransformer(schema).jsonSchema)
        }
      }
    }
    return body
  })

const toolOf = (tool: Tool.Any): Result.Result<ChatCompletionsTool, AiError.AiErrorReason> => {
  if (Tool.isProviderDefined(tool)) {
    return Result.fail(
      new AiError.ToolConfigurationError({
        toolName: tool.name,
        description: "chat completions has no tools of the provider's own; give one with a handler"
      })
    )
  }
  const description = Tool.getDescription(tool)
  const strict = Tool.getStrictMode(tool)
  return Result.map(
    schemaOf(() =>
      // A reference at the top is no object, and only an object is taken.
      Tool.getJsonSchema(tool, { transformer: LanguageModel.defaultCodecTransformer })
    ),
    (parameters) => ({
      type: "function",
      function: {
        name: tool.name,
        parameters,
        ...(description === undefined ? {} : { description }),
        ...(strict === undefined ? {} : { strict })
      }
    })
  )
}

const choiceOf = (
  choice: LanguageModel.ToolChoice<string>
): NonNullable<ChatCompletionsBody["tool_choice"]> => {
  if (typeof choice === "string") return choice
  if ("tool" in choice) return { type: "function", function: { name: choice.tool } }
  // Only the tools to choose from are given by now.
  return choice.mode ?? "auto"
}

const schemaOf = <A>(make: () => A): Result.Result<A, AiError.AiErrorReason> =>
  Result.try({
    try: make,
    catch: (error) =>
      new AiError.UnsupportedSchemaError({
        description: error instanceof Error ? error.message : String(error)
      })
  })
