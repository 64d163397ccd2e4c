import { ChatOpenAI } from "@langchain/openai"
import { answer, makeGraph } from "../examples/langgraph.ts"
import { openaiFormat } from "./support/openaiFormat.ts"
import { describeProgram } from "./support/providers.ts"

const graphOf = (url: string) =>
  makeGraph(
    new ChatOpenAI({
      model: "m",
      apiKey: "key",
      maxRetries: 0,
      configuration: { baseURL: `${url}/v1` }
    }),
    async () => "a place"
  )

describeProgram("langgraph", {
  format: openaiFormat,
  answer: (url, stops, chat, show) => answer({ graph: graphOf(url), stops }, chat, show),
  source: (url, signal) =>
    graphOf(url).stream(
      { messages: [{ role: "user", content: "hello" }] },
      { streamMode: "messages", ...(signal === undefined ? {} : { signal }) }
    ),
  textOf: ([message]) => (message.type === "ai" ? message.text : ""),
  aborted: "TimeoutError"
})
