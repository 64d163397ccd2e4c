// AI SDK with tools: Stop ends the tool under way, no step follows, and what came until then is saved.
import { convertToModelMessages, isStepCount, streamText, tool, type UIMessage } from "ai"
import { createStops } from "effect-cancellation-promise"
import { z } from "zod"

export const stops = createStops()

/** Instead of your table. */
export const chats = new Map<string, Array<UIMessage>>()

const tools = {
  nearest: tool({
    description: "Finds the nearest station.",
    inputSchema: z.object({}),
    // The run's signal, which reaches a tool only if the tool passes it on.
    execute: async (_input, { abortSignal }) => {
      const found = await fetch(stations, { method: "POST", signal: abortSignal ?? null })
      return found.text()
    }
  })
}

export const POST = async (request: Request): Promise<Response> => {
  const { id, messages }: { id: string; messages: Array<UIMessage> } = await request.json()
  // A call that a stop ended has no answer, and providers refuse a history with such a call.
  const prompt = await convertToModelMessages(messages, { tools, ignoreIncompleteToolCalls: true })
  return stops.respond({ chatId: id }, (run) =>
    streamText({
      model: "openai/gpt-5-mini",
      messages: prompt,
      tools,
      stopWhen: isStepCount(10),
      abortSignal: run.signal
    }).toUIMessageStreamResponse({
      originalMessages: messages,
      // The id of the receipts, so that a page can show a stop at its message.
      generateMessageId: () => run.messageId,
      // Also after a stop.
      onEnd: ({ messages: whole }) => void chats.set(id, whole)
    })
  )
}

export const DELETE = async (request: Request): Promise<Response> => {
  const { id }: { id: string } = await request.json()
  return Response.json(await stops.stop({ chatId: id }))
}

const stations = process.env["STATIONS_URL"] ?? "https://stations.example/nearest"
