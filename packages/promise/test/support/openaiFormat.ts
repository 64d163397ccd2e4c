// Answers in the format of the chat-completions protocol.
import { requestViolations } from "../../../chat/test/support/chatCompletionsFormat.ts"
import type { Format } from "./providersServer.ts"

const whole = (object: string, choice: object) =>
  JSON.stringify({
    id: "chatcmpl-1",
    object,
    created: 1_700_000_000,
    model: "m",
    choices: [{ index: 0, ...choice }]
  })

const event = (delta: object, finish_reason: string | null = null) =>
  `data: ${whole("chat.completion.chunk", { delta, finish_reason })}\n\n`

export const openaiFormat: Format = {
  contentType: "text/event-stream",
  begin: [event({ role: "assistant", content: "" })],
  word: (content) => event({ content }),
  end: [event({}, "stop"), "data: [DONE]\n\n"],
  error: (message) => JSON.stringify({ error: { message, type: "server_error" } }),
  violations: requestViolations
}

const callOf = (name: string) => ({
  id: "call_1",
  type: "function",
  function: { name, arguments: "{}" }
})

/** A streamed answer that calls a tool. */
export const openaiCall = (name: string): ReadonlyArray<string> => [
  event({ role: "assistant", content: "" }),
  event({ tool_calls: [{ index: 0, ...callOf(name) }] }),
  event({}, "tool_calls"),
  "data: [DONE]\n\n"
]

/** An answer in one piece: words, or the call of a tool. */
export const openaiWhole = (answer: { readonly text: string } | { readonly call: string }) => ({
  status: 200,
  json: whole(
    "chat.completion",
    "text" in answer
      ? { message: { role: "assistant", content: answer.text }, finish_reason: "stop" }
      : {
          message: { role: "assistant", content: null, tool_calls: [callOf(answer.call)] },
          finish_reason: "tool_calls"
        }
  )
})
