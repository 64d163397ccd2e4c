import OpenAI from "openai"
import { describe, expect, test } from "vitest"
import type { Stops } from "effect-cancellation-promise"
import { messageViolations } from "../../chat/test/support/chatCompletionsFormat.ts"
import { answer, answerWithTools, type Tool } from "../examples/openai.ts"
import { openaiFormat, openaiWhole } from "./support/openaiFormat.ts"
import { chat, describeProgram, outcomes, quiet, silent, the } from "./support/providers.ts"
import { serveProvider } from "./support/providersServer.ts"

const clientOf = (url: string) => new OpenAI({ apiKey: "key", baseURL: `${url}/v1`, maxRetries: 0 })

describeProgram("openai", {
  format: openaiFormat,
  answer: (url, stops, chat, show) => answer({ client: clientOf(url), stops }, chat, show),
  source: (url, signal) =>
    clientOf(url).chat.completions.create(
      { model: "m", stream: true, messages: [{ role: "user", content: "hello" }] },
      { signal }
    ),
  textOf: (chunk) => chunk.choices[0]?.delta.content ?? "",
  aborted: "ends"
})

describe("a loop of tools", () => {
  const loop = async (tool: Tool, before: (stops: Stops) => Promise<void> = async () => {}) => {
    await using server = await serveProvider(openaiFormat, ({ index }) =>
      openaiWhole(index === 0 ? { call: "look" } : { text: "the end" })
    )
    await using stops = quiet()
    await before(stops)
    const client = clientOf(server.url)
    const messages = await answerWithTools({ client, stops }, chat, {
      look: (args, signal) => {
        void stops.stop(chat)
        return tool(args, signal)
      }
    })
    expect(server.violations()).toEqual([])
    expect(messageViolations(messages)).toEqual([])
    return { messages, requests: server.exchanges.length, outcomes: await outcomes(stops) }
  }

  test("a stop ends the tool under way, and nothing is asked after it", async () => {
    let ended = false
    const { messages, ...rest } = await loop(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            ended = true
            reject(signal.reason)
          })
        })
    )
    expect(ended).toBe(true)
    expect(messages.at(-1)).toMatchObject({ role: "tool", content: "stopped by the user" })
    expect(rest).toEqual({ requests: 1, outcomes: ["stopped"] })
  })

  test("a stop that came before asks for nothing", async () => {
    const { messages, ...rest } = await loop(
      async () => "here",
      async (stops) => {
        await stops.stop(chat)
      }
    )
    expect(messages.length).toBe(1)
    expect(rest).toEqual({ requests: 0, outcomes: ["stopped"] })
  })
})

test("the client does not try again what a stop ended", async () => {
  await using server = await serveProvider(openaiFormat, (exchange) =>
    silent(openaiFormat, exchange)
  )
  await using stops = quiet()
  await using run = await stops.watch(chat)
  const client = new OpenAI({ apiKey: "key", baseURL: `${server.url}/v1`, maxRetries: 2 })
  const messages = [{ role: "user" as const, content: "hello" }]
  // It waits for an answer in one piece, which does not come.
  let said: unknown
  const result = run.run(
    (signal) =>
      client.chat.completions
        .create({ model: "m", messages }, { signal })
        .catch((error: unknown) => {
          said = error
          throw error
        }),
    { whenStopped: "stopped" }
  )
  await server.arrived
  await stops.stop(chat)
  expect(await result).toBe("stopped")
  expect(said).toBeInstanceOf(OpenAI.APIUserAbortError)
  expect(await the(server).over).toBe(true)
  expect(server.exchanges.length).toBe(1)
})

test("a stream that was opened without the signal, and is silent, is given up", async () => {
  await using server = await serveProvider(openaiFormat, (exchange) =>
    silent(openaiFormat, exchange)
  )
  await using stops = quiet()
  await using run = await stops.watch(chat, { gracePeriod: 50 })
  const messages = [{ role: "user" as const, content: "hello" }]
  const opened = await clientOf(server.url).chat.completions.create({
    model: "m",
    stream: true,
    messages
  })
  let text = ""
  for await (const chunk of run.stream(opened)) {
    text += chunk.choices[0]?.delta.content ?? ""
    if (text !== "") void stops.stop(chat)
  }
  expect(text).toBe("one ")
  // Its `return` waits for the next chunk: only the signal reaches it before.
  expect(the(server).left.aborted).toBe(false)
  await run.close()
  expect(await outcomes(stops)).toEqual(["abandoned"])
})
