import { ChatOpenAI } from "@langchain/openai"
import { expect, test } from "vitest"
import { answer, type Look, makeGraph } from "../examples/langgraph.ts"
import { openaiFormat } from "./support/openaiFormat.ts"
import { chat, describeProgram, outcomes, quiet } from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

const graphOf = (url: string, lookUp: Look = async () => "a place") =>
  makeGraph(
    new ChatOpenAI({
      model: "m",
      apiKey: "key",
      maxRetries: 0,
      configuration: { baseURL: `${url}/v1` }
    }),
    lookUp
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

test("a stop ends the node under way, and the next one never begins", async () => {
  await using server = await serveProvider(openaiFormat, () => [])
  await using stops = quiet()
  let ended = 0
  const graph = graphOf(
    server.url,
    (signal) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => {
          ended++
          reject(signal.reason)
        })
        void stops.stop(chat)
      })
  )
  expect(await answer({ graph, stops }, chat, () => {})).toBe("")
  expect(ended).toBe(1)
  expect(server.exchanges).toEqual([])
  expect(await outcomes(stops)).toEqual(["stopped"])
})
