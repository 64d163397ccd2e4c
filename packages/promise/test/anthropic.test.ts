import Anthropic from "@anthropic-ai/sdk"
import { expect, test } from "vitest"
import { answer } from "../examples/anthropic.ts"
import { anthropicEvents } from "./support/anthropicEvents.ts"
import {
  chat,
  describeProgram,
  outcomes,
  type Program,
  quiet,
  silent,
  the
} from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

const clientOf = (baseURL: string) => new Anthropic({ apiKey: "key", baseURL, maxRetries: 0 })
const request = {
  model: "m",
  max_tokens: 64,
  messages: [{ role: "user" as const, content: "hello" }]
}
const textOf = (event: Anthropic.RawMessageStreamEvent) =>
  event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""

const shared = {
  format: anthropicEvents,
  answer: (url, stops, chat, show) => answer({ client: clientOf(url), stops }, chat, show),
  textOf
} satisfies Partial<Program<Anthropic.RawMessageStreamEvent>>

describeProgram("anthropic, messages.create", {
  ...shared,
  source: (url, signal) => clientOf(url).messages.create({ ...request, stream: true }, { signal }),
  aborted: "ends"
})

describeProgram("anthropic, messages.stream", {
  ...shared,
  source: (url, signal) => clientOf(url).messages.stream(request, { signal }),
  aborted: "APIUserAbortError"
})

test("events and the final message of messages.stream end at a stop", async () => {
  await using server = await serveProvider(anthropicEvents, (exchange) =>
    silent(anthropicEvents, exchange)
  )
  await using stops = quiet()
  await using run = await stops.watch(chat)
  let text = ""
  const seen: Array<string> = []
  const result = await run.run(
    (signal) =>
      clientOf(server.url)
        .messages.stream(request, { signal })
        .on("abort", () => seen.push("abort"))
        .on("error", () => seen.push("error"))
        .on("text", (piece) => {
          text += piece
          void stops.stop(chat)
        })
        .finalMessage()
        .catch((error: unknown) => {
          if (error instanceof Anthropic.APIUserAbortError) seen.push("APIUserAbortError")
          throw error
        }),
    { whenStopped: () => text }
  )
  expect(result).toBe("one ")
  expect(seen).toEqual(["abort", "APIUserAbortError"])
  expect(await the(server).over).toBe(true)
  await run.close()
  expect(await outcomes(stops)).toEqual(["stopped"])
})
