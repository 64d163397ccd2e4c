// AI SDK, resumable: a reload goes on with the answer, Stop stops it, a page that leaves stops nothing.
import { createClient } from "@redis/client"
import {
  convertToModelMessages,
  generateId,
  streamText,
  UI_MESSAGE_STREAM_HEADERS,
  type UIMessage
} from "ai"
import { createStops } from "effect-cancellation-promise"
import { createResumableStreamContext } from "resumable-stream/generic"

export const stops = createStops()

// What is shown again after a reload waits in Redis; stops need none of it.
const publisher = createClient({ url: process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379" })
const subscriber = publisher.duplicate()
// The client connects again by itself; without a listener an error would end the process.
for (const client of [publisher, subscriber]) client.on("error", () => {})
await Promise.all([publisher.connect(), subscriber.connect()])
const streams = createResumableStreamContext({ waitUntil: null, publisher, subscriber })

/** Instead of your tables. */
export const chats = new Map<string, { messages: Array<UIMessage>; activeRunId?: string }>()

interface Asked {
  readonly id: string
  readonly messages: Array<UIMessage>
  readonly trigger?: "submit-message" | "regenerate-message"
  readonly messageId?: string
}

export const POST = async (request: Request): Promise<Response> => {
  const { id, messages, trigger, messageId: asked }: Asked = await request.json()
  const prompt = await convertToModelMessages(messages)
  // `regenerate` keeps the message's id. A run has a new id each time, so no earlier stop is its own.
  const messageId = trigger === "regenerate-message" && asked ? asked : generateId()
  const run = await stops.watch({ chatId: id, messageId })
  chats.set(id, { messages, activeRunId: run.runId })
  try {
    // Not `request.signal`: the page may leave, and come back to the answer.
    const result = streamText({
      model: "openai/gpt-5-mini",
      messages: prompt,
      abortSignal: run.signal
    })
    return result.toUIMessageStreamResponse({
      originalMessages: messages,
      generateMessageId: () => messageId,
      consumeSseStream: async ({ stream }) => {
        // Nobody awaits this: without Redis there is an answer, which a reload loses.
        await streams.createNewResumableStream(run.runId, () => quiet(stream)).catch(() => {})
      },
      // Also after a stop, and then with what came until then.
      onEnd: async ({ messages: whole, outcome }) => {
        try {
          // A later turn may have begun; its messages are the newer ones.
          if (chats.get(id)?.activeRunId === run.runId) chats.set(id, { messages: whole })
        } finally {
          await run.close(outcome.status === "failed" ? "failed" : "completed")
        }
      }
    })
  } catch (error) {
    // There is no stream whose end would close it.
    await run.close("failed")
    throw error
  }
}

/**
 * `resumable-stream` handles no error of its source, such as what `onEnd` fails with: for it, a stream
 * that broke is over.
 */
const quiet = (stream: ReadableStream<string>): ReadableStream<string> => {
  const reader = stream.getReader()
  return new ReadableStream({
    pull: async (controller) => {
      const { value } = await reader.read().catch(() => ({ value: undefined }))
      if (value === undefined) controller.close()
      else controller.enqueue(value)
    }
  })
}

/** `/api/chat/:id/stream`, where `resumeStream` asks. */
export const GET = async (request: Request): Promise<Response> => {
  const id = decodeURIComponent(new URL(request.url).pathname.split("/").at(-2) ?? "")
  const runId = chats.get(id)?.activeRunId
  const stream = runId === undefined ? undefined : await streams.resumeExistingStream(runId)
  if (!stream) return new Response(null, { status: 204 })
  const body = stream.pipeThrough(new TextEncoderStream())
  return new Response(body, { headers: UI_MESSAGE_STREAM_HEADERS })
}

export const DELETE = async (request: Request): Promise<Response> => {
  const { id }: { id: string } = await request.json()
  return Response.json(await stops.stop({ chatId: id }))
}

export const close = async (): Promise<void> => {
  await stops.close()
  await Promise.all([publisher.close(), subscriber.close()])
}
