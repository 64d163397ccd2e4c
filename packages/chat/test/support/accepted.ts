/** Whether both providers accept a history. */
import { assert } from "@effect/vitest"
import * as Result from "effect/Result"
import { Prompt } from "effect/ai"
import { ChatCompletionsModel } from "../../src/index.ts"
import { anthropicViolations, toAnthropic } from "./anthropicFormat.ts"
import { messageViolations } from "./chatCompletionsFormat.ts"

/** Fails with what a strict server of either format would say. */
export const accepted = (messages: ReadonlyArray<Prompt.Message>): void => {
  const wrong = [
    ...Result.match(ChatCompletionsModel.toMessages(Prompt.fromMessages(messages)), {
      onSuccess: messageViolations,
      onFailure: (error) => [error.message]
    }),
    ...anthropicViolations(toAnthropic(Prompt.fromMessages(messages.flatMap(withoutHosted))))
  ]
  assert.deepStrictEqual(wrong, [], JSON.stringify(messages, undefined, 1))
}

// Each provider has a form of its own for what it ran itself, and knows it again.
const withoutHosted = (message: Prompt.Message): ReadonlyArray<Prompt.Message> => {
  if (message.role !== "assistant") return [message]
  const content = message.content.filter(
    (part) => (part.type !== "tool-call" && part.type !== "tool-result") || !part.providerExecuted
  )
  const isSaid = content.some(({ type }) => type !== "reasoning")
  return content.length < message.content.length && !isSaid ? [] : [{ ...message, content }]
}
