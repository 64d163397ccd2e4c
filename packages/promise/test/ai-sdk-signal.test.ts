// `streamText` under the signal of a run, without a page: what the README's table says of it.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { streamText } from "ai"
import { expect, test } from "vitest"
import { openaiFormat } from "./support/openaiFormat.ts"
import {
  chat,
  endless,
  noUnhandledRejection,
  outcomes,
  quiet,
  silent,
  the
} from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

noUnhandledRejection()

const begin = (url: string, abortSignal: AbortSignal) =>
  streamText({
    model: createOpenAICompatible({ name: "local", baseURL: `${url}/v1` })("m"),
    prompt: chat.question,
    abortSignal
  })

test("by the signal alone: an abort part and the end, and at most one chunk more", async () => {
  await using server = await serveProvider(openaiFormat, (call) => endless(openaiFormat, call))
  await using stops = quiet()
  await using run = await stops.watch(chat)
  const atStop = new Promise<number>((resolve) => {
    run.signal.addEventListener("abort", () => resolve(the(server).sent()))
  })
  let text = ""
  const types: Array<string> = []
  for await (const part of begin(server.url, run.signal).stream) {
    types.push(part.type)
    if (part.type !== "text-delta") continue
    text += part.text
    if (text.endsWith("w3 ")) void stops.stop(chat)
  }
  expect(types.at(-1)).toBe("abort")
  expect(types).not.toContain("error")
  expect(text).toMatch(/^w0 w1 w2 w3 /)
  expect(await the(server).over).toBe(true)
  expect(the(server).sent() - (await atStop)).toBeLessThanOrEqual(1)
  expect(server.exchanges.length).toBe(1)
  expect(server.violations()).toEqual([])
  await run.close()
  expect(await outcomes(stops)).toEqual(["stopped"])
})

test("a stop while nothing comes ends it too", async () => {
  await using server = await serveProvider(openaiFormat, (call) => silent(openaiFormat, call))
  await using stops = quiet()
  const text = await stops.run(
    chat,
    async (_run, signal) => {
      let text = ""
      for await (const piece of begin(server.url, signal).textStream) {
        text += piece
        void stops.stop(chat)
      }
      return text
    },
    { whenStopped: "stopped" }
  )
  expect(text).toBe("stopped")
  expect(await the(server).over).toBe(true)
  expect(await outcomes(stops)).toEqual(["stopped"])
})

test("a time-out of one's own is no stop, though the SDK ends as if done", async () => {
  await using server = await serveProvider(openaiFormat, (call) => silent(openaiFormat, call))
  await using stops = quiet()
  const own = new AbortController()
  let text = ""
  const result = stops.run(
    chat,
    async (_run, signal) => {
      for await (const piece of begin(server.url, signal).textStream) {
        text += piece
        own.abort(new DOMException("It took too long.", "TimeoutError"))
      }
      return text
    },
    { whenStopped: "stopped", signal: own.signal }
  )
  await expect(result).rejects.toMatchObject({ name: "TimeoutError" })
  expect(text).toBe("one ")
  expect(await the(server).over).toBe(true)
  expect(await outcomes(stops)).toEqual(["interrupted"])
})

test("nor is it one of a response, whose body ends by it as if done", async () => {
  await using server = await serveProvider(openaiFormat, (call) => silent(openaiFormat, call))
  await using stops = quiet()
  const own = new AbortController()
  const response = await stops.respond(chat, async (run) => {
    await run.check()
    const signal = AbortSignal.any([run.signal, own.signal])
    return begin(server.url, signal).toUIMessageStreamResponse()
  })
  if (response.body === null) throw new Error("There is no body.")
  let text = ""
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    text += piece
    // As AbortSignal.timeout does, at a moment that is known.
    if (text.includes("one ")) own.abort(new DOMException("It took too long.", "TimeoutError"))
  }
  expect(text).toContain('"type":"abort"')
  expect(await the(server).over).toBe(true)
  await expect
    .poll(() => stops.receipts(chat))
    .toMatchObject([{ phase: "none", ended: { outcome: "completed" } }])
})

test("a stop that is known asks for nothing", async () => {
  await using server = await serveProvider(openaiFormat, (call) => endless(openaiFormat, call))
  await using stops = quiet()
  await stops.stop(chat)
  await using run = await stops.watch(chat)
  expect(await run.check()).toBe(true)
  const types: Array<string> = []
  for await (const part of begin(server.url, run.signal).stream) types.push(part.type)
  expect(types.at(-1)).toBe("abort")
  expect(server.exchanges).toEqual([])
})
