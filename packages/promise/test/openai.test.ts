import OpenAI from "openai"
import { answer } from "../examples/openai.ts"
import { openaiFormat } from "./support/openaiFormat.ts"
import { describeProgram } from "./support/providers.ts"

const clientOf = (url: string) => new OpenAI({ apiKey: "key", baseURL: `${url}/v1`, maxRetries: 0 })

describeProgram("openai", {
  format: openaiFormat,
  answer: (url, stops, chat, show) => answer({ client: clientOf(url), stops }, chat, show),
  source: (url, signal) =>
    clientOf(url).chat.completions.create(
      { model: "m", stream: true, messages: [{ role: "user", content: "hello" }] },
      { signal }
    ),
  textOf: (chunk) => chunk.choices[0]?.delta.content ?? "",
  aborted: "ends"
})
