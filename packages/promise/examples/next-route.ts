// Stop in Next.js: app/api/chat/route.ts. POST answers, DELETE stops.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { convertToModelMessages, streamText, type UIMessage } from "ai"
import { createStops, type Stops } from "effect-cancellation-promise"

// `next dev` loads this module anew when it changes; what runs must stay known.
const kept: typeof globalThis & { stops?: Stops } = globalThis
const stops = (kept.stops ??= createStops())

/** In seconds: no run lives for longer than its response, and the platform ends that. */
export const maxDuration = 300

export const POST = async (request: Request): Promise<Response> => {
  const { id, messages }: { id: string; messages: Array<UIMessage> } = await request.json()
  const prompt = await convertToModelMessages(messages)
  return stops.respond({ chatId: id }, (run) =>
    streamText({ model, messages: prompt, abortSignal: run.signal }).toUIMessageStreamResponse()
  )
}

export const DELETE = async (request: Request): Promise<Response> => {
  const { id }: { id: string } = await request.json()
  return Response.json(await stops.stop({ chatId: id }))
}

const { OPENAI_API_KEY, OPENAI_BASE_URL } = process.env
const model = createOpenAICompatible({
  name: "openai",
  baseURL: OPENAI_BASE_URL ?? "https://api.openai.com/v1",
  ...(OPENAI_API_KEY === undefined ? {} : { apiKey: OPENAI_API_KEY })
})("gpt-5-mini")
