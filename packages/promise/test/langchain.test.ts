import { ChatOpenAI } from "@langchain/openai"
import { tool } from "@langchain/core/tools"
import { expect, test } from "vitest"
import { z } from "zod"
import { answer } from "../examples/langchain.ts"
import { openaiCall, openaiFormat } from "./support/openaiFormat.ts"
import { chat, describeProgram, outcomes, quiet, silent, the } from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

const modelOf = (url: string, maxRetries = 0) =>
  new ChatOpenAI({
    model: "m",
    apiKey: "key",
    maxRetries,
    configuration: { baseURL: `${url}/v1` }
  })

describeProgram("langchain", {
  format: openaiFormat,
  answer: (url, stops, chat, show) => answer({ model: modelOf(url), stops }, chat, show),
  source: (url, signal) => modelOf(url).stream("hello", signal === undefined ? {} : { signal }),
  textOf: (chunk) => chunk.text,
  aborted: "TimeoutError"
})

test("a stop ends the tool under way", async () => {
  await using server = await serveProvider(openaiFormat, () => openaiCall("look"))
  await using stops = quiet()
  let ended = 0
  const look = tool(
    (_, config) =>
      new Promise<string>((_resolve, reject) => {
        config.signal?.addEventListener("abort", () => {
          ended++
          reject(config.signal?.reason)
        })
        void stops.stop(chat)
      }),
    { name: "look", schema: z.object({}) }
  )
  await answer({ model: modelOf(server.url), stops, tools: [look] }, chat, () => {})
  expect(ended).toBe(1)
  expect(await outcomes(stops)).toEqual(["stopped"])
})

test("LangChain does not try again what a stop ended", async () => {
  await using server = await serveProvider(openaiFormat, (exchange) =>
    silent(openaiFormat, exchange)
  )
  await using stops = quiet()
  await using run = await stops.watch(chat)
  let said: unknown
  const result = run.run(
    (signal) =>
      modelOf(server.url, 6)
        .invoke("hello", { signal })
        .catch((error: Error) => {
          said = error.name
          throw error
        }),
    { whenStopped: "stopped" }
  )
  await server.arrived
  await stops.stop(chat)
  expect(await result).toBe("stopped")
  expect(said).toBe("AbortError")
  expect(await the(server).over).toBe(true)
  expect(server.exchanges.length).toBe(1)
})
