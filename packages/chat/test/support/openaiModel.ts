// A model at a test's server, through npm's `openai` client.
import type * as Layer from "effect/Layer"
import type * as LanguageModel from "effect/ai/LanguageModel"
import OpenAI from "openai"
import * as ChatCompletionsModel from "../../src/ChatCompletionsModel.ts"

/** The key that the client sends, and that no error may name. */
export const apiKey = "sk-test-0123456789abcdef-do-not-show"

/** The model at this address. The client does not try again by itself. */
export const openaiModel = (baseURL: string): Layer.Layer<LanguageModel.LanguageModel> => {
  const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
  return ChatCompletionsModel.layer({
    model: "test-model",
    create: (body, { signal }) =>
      openai.chat.completions.create(
        { ...body, stream: true, stream_options: { include_usage: true } },
        { signal }
      )
  })
}
