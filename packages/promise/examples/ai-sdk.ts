import { convertToModelMessages, streamText, type UIMessage } from "ai"
import { createStops } from "effect-cancellation-promise"

const model = "openai/gpt-5-mini"
const stops = createStops()

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
