// Answers in the format of the Anthropic messages API.
import { anthropicViolations } from "../../../chat/test/support/anthropicFormat.ts"
import type { Format } from "./providersServer.ts"

const event = (data: { readonly type: string; readonly [field: string]: unknown }) =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`

export const anthropicEvents: Format = {
  contentType: "text/event-stream",
  begin: [
    event({
      type: "message_start",
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "m",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 1, output_tokens: 1 }
      }
    }),
    event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })
  ],
  word: (text) =>
    event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }),
  end: [
    event({ type: "content_block_stop", index: 0 }),
    event({
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: 3 }
    }),
    event({ type: "message_stop" })
  ],
  error: (message) => JSON.stringify({ type: "error", error: { type: "api_error", message } }),
  violations: anthropicViolations
}
