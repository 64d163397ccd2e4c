/**
 * The same loop as it is usually written: a poller of its own sets a flag, and the loop looks at the
 * flag before each step and before each tool.
 */
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import OpenAI from "openai"
import type { Loop } from "./World.ts"

type Message = OpenAI.ChatCompletionMessageParam

export const byHand: Loop = ({ baseUrl, id, world }) =>
  Effect.gen(function* () {
    const run = Effect.runPromiseWith(yield* Effect.context<never>())
    const openai = new OpenAI({ baseURL: baseUrl, apiKey: "none" })
    const row = { userAborted: false }
    let isStopped = false

    const agent = async () => {
      const poller = setInterval(() => {
        isStopped = row.userAborted
      }, 2000)
      const messages: Array<Message> = [{ role: "user", content: "Change the world." }]
      try {
        for (let step = 0; step < 10; step++) {
          if (isStopped) return
          const said = await answerOf(openai, id, messages)
          messages.push(said)
          const calls = said.role === "assistant" ? (said.tool_calls ?? []) : []
          if (calls.length === 0) return
          for (const { id: tool_call_id } of calls) {
            const isClear = world.look()
            if (isStopped) return
            isClear()
            await run(world.change)
            messages.push({ role: "tool", tool_call_id, content: "done" })
          }
        }
      } finally {
        clearInterval(poller)
      }
    }

    // Nobody waits for an agent before it is stopped.
    const ended = agent()
    ended.catch(() => sleep(0))
    return {
      stop: Effect.sync(() => {
        row.userAborted = true
        world.stored()
      }),
      ended: Effect.promise(() => ended)
    }
  })

const answerOf = async (
  openai: OpenAI,
  user: string,
  messages: ReadonlyArray<Message>
): Promise<Message> => {
  const stream = await openai.chat.completions.create({
    model: "model",
    user,
    messages: [...messages],
    tools: [
      {
        type: "function",
        function: { name: "change", parameters: { type: "object", properties: {} } }
      }
    ],
    stream: true
  })
  let content = ""
  const ids: Array<string> = []
  for await (const { choices } of stream) {
    const delta = choices[0]?.delta
    content += delta?.content ?? ""
    for (const { id } of delta?.tool_calls ?? []) if (id !== undefined) ids.push(id)
  }
  if (ids.length === 0) return { role: "assistant", content }
  const tool_calls = ids.map((id) => ({
    id,
    type: "function" as const,
    function: { name: "change", arguments: "{}" }
  }))
  return { role: "assistant", content, tool_calls }
}
