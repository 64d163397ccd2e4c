import { ChatOpenAI } from "@langchain/openai"
import { answer } from "../examples/langchain.ts"
import { openaiFormat } from "./support/openaiFormat.ts"
import { describeProgram } from "./support/providers.ts"

const modelOf = (url: string) =>
  new ChatOpenAI({
    model: "m",
    apiKey: "key",
    maxRetries: 0,
    configuration: { baseURL: `${url}/v1` }
  })

describeProgram("langchain", {
  format: openaiFormat,
  answer: (url, stops, chat, show) => answer({ model: modelOf(url), stops }, chat, show),
  source: (url, signal) => modelOf(url).stream("hello", signal === undefined ? {} : { signal }),
  textOf: (chunk) => chunk.text,
  aborted: "TimeoutError"
})
