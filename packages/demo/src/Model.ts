/**
 * The model behind the agent: one on a server that speaks chat completions if a key is given, else the
 * scripted one, which needs no network.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { LanguageModel } from "effect/ai"
import { ChatCompletionsModel } from "effect-cancellation-chat"
import OpenAI from "openai"
import * as ScriptedModel from "./ScriptedModel.ts"
import { type OpenAiSettings, Settings } from "./Settings.ts"

export const layer: Layer.Layer<LanguageModel.LanguageModel, never, Settings> = Layer.unwrap(
  Effect.map(Settings, ({ openAi }) =>
    openAi === undefined ? ScriptedModel.layer : openAiLayer(openAi)
  )
)

const openAiLayer = ({ apiKey, baseUrl, model }: OpenAiSettings) => {
  const client = new OpenAI({
    apiKey: Redacted.value(apiKey),
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl })
  })
  return ChatCompletionsModel.layer({
    model,
    create: (body, { signal }) =>
      client.chat.completions.create(
        { ...body, stream: true, stream_options: { include_usage: true } },
        { signal }
      )
  })
}
