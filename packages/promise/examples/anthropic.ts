// Anthropic's client: an answer that can be stopped from anywhere.
import type Anthropic from "@anthropic-ai/sdk"
import type { Stops } from "effect-cancellation-promise"

/** Streams an answer; a stop closes the connection, and what came before it is kept. */
export const answer = async (
  { client, stops }: { readonly client: Anthropic; readonly stops: Stops },
  { chatId, question }: { readonly chatId: string; readonly question: string },
  show: (text: string) => void
): Promise<string> => {
  let text = ""
  // `await using run = await stops.watch(…)` does the same where the runtime has it.
  const run = await stops.watch({ chatId })
  try {
    const events = run.stream((signal) =>
      client.messages.stream(
        {
          model: "claude-sonnet-5-5",
          max_tokens: 1024,
          messages: [{ role: "user", content: question }]
        },
        { signal }
      )
    )
    for await (const event of events) {
      if (event.type !== "content_block_delta" || event.delta.type !== "text_delta") continue
      text += event.delta.text
      show(event.delta.text)
    }
  } finally {
    await run.close()
  }
  return text
}
