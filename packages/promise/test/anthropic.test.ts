import Anthropic from "@anthropic-ai/sdk"
import { answer } from "../examples/anthropic.ts"
import { anthropicEvents } from "./support/anthropicEvents.ts"
import { describeProgram, type Program } from "./support/providers.ts"

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
