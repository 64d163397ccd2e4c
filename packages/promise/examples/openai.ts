// OpenAI's client: an answer that can be stopped from anywhere, and a loop of tools.
import type OpenAI from "openai"
import type { Stops } from "effect-cancellation-promise"

type Chat = { readonly chatId: string; readonly question: string }
const model = "gpt-5-mini"

/** Streams an answer; a stop closes the connection, and what came before it is kept. */
export const answer = async (
  { client, stops }: { readonly client: OpenAI; readonly stops: Stops },
  { chatId, question }: Chat,
  show: (text: string) => void
): Promise<string> => {
  let text = ""
  return stops.run(
    { chatId },
    async (run) => {
      const chunks = run.stream((signal) =>
        client.chat.completions.create(
          { model, stream: true, messages: [{ role: "user", content: question }] },
          { signal }
        )
      )
      for await (const chunk of chunks) {
        const piece = chunk.choices[0]?.delta.content ?? ""
        text += piece
        show(piece)
      }
      return text
    },
    { whenStopped: () => text }
  )
}

/** What a tool does; its signal aborts at the stop. */
export type Tool = (args: unknown, signal: AbortSignal) => Promise<string>

/** A loop of tools; without `await using`, for a runtime that has none. Answers the messages so far. */
export const answerWithTools = async (
  { client, stops }: { readonly client: OpenAI; readonly stops: Stops },
  { chatId, question }: Chat,
  tools: Readonly<Record<string, Tool>>
): Promise<ReadonlyArray<OpenAI.ChatCompletionMessageParam>> => {
  const messages: Array<OpenAI.ChatCompletionMessageParam> = [{ role: "user", content: question }]
  const declared = Object.keys(tools).map((name) => ({
    type: "function" as const,
    function: { name, parameters: { type: "object", properties: {} } }
  }))
  const run = await stops.watch({ chatId })
  try {
    while (true) {
      if (await run.check()) break
      const reply = await run.run(
        (signal) =>
          client.chat.completions.create({ model, messages, tools: declared }, { signal }),
        { whenStopped: undefined }
      )
      const message = reply?.choices[0]?.message
      if (message === undefined) break
      messages.push(message)
      const calls = (message.tool_calls ?? []).filter((call) => call.type === "function")
      if (calls.length === 0) break
      // Every call gets an answer, also after a stop: a history without one is refused.
      for (const call of calls) {
        const content = await run.run(
          async (signal) =>
            tools[call.function.name]?.(JSON.parse(call.function.arguments), signal) ??
            "no such tool",
          { whenStopped: "stopped by the user" }
        )
        messages.push({ role: "tool", tool_call_id: call.id, content })
      }
    }
  } finally {
    await run.close()
  }
  return messages
}
