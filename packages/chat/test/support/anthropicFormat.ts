// Whether a history is one that the Anthropic messages API accepts, written from what its
// documentation says, and a prompt in that format. The conversion mends nothing: what would be
// refused must show.
import * as Prompt from "effect/ai/Prompt"
import {
  checkFields,
  complaintsOf,
  type Complain,
  doubles,
  isObject,
  isText,
  shown,
  type Json
} from "./shape.ts"

export interface AnthropicRequest {
  readonly system?: string
  readonly messages: ReadonlyArray<{
    readonly role: "user" | "assistant"
    readonly content: ReadonlyArray<Json>
  }>
}

/** A prompt in the format of the Anthropic messages API. */
export const toAnthropic = (prompt: Prompt.Prompt): AnthropicRequest => {
  const system = prompt.content.flatMap((message) =>
    message.role === "system" ? [message.content] : []
  )
  const messages = prompt.content.flatMap((message) => {
    if (message.role === "system") return []
    const role = message.role === "assistant" ? ("assistant" as const) : ("user" as const)
    return [{ role, content: message.content.flatMap(blocksOf) }]
  })
  return { ...(system.length === 0 ? {} : { system: system.join("\n\n") }), messages }
}

const blocksOf = (part: Prompt.Part): ReadonlyArray<Json> => {
  switch (part.type) {
    case "text":
      return [{ type: "text", text: part.text }]
    case "tool-call":
      return [{ type: "tool_use", id: part.id, name: part.name, input: part.params }]
    case "tool-result": {
      const shown =
        part.modelOutput === undefined
          ? part.result
          : Prompt.toolModelOutputToText(part.modelOutput)
      return [
        {
          type: "tool_result",
          tool_use_id: part.id,
          content: typeof shown === "string" ? shown : JSON.stringify(shown),
          is_error: part.isFailure
        }
      ]
    }
    case "file":
      throw new Error("the test's conversion knows no files")
    case "reasoning": {
      // Thoughts that the provider has not signed are not shown to it again.
      const signature = signatureOf(part)
      return signature === undefined ? [] : [{ type: "thinking", thinking: part.text, signature }]
    }
    case "tool-approval-request":
    case "tool-approval-response":
      return []
  }
}

const signatureOf = ({ options }: Prompt.ReasoningPart): unknown => {
  const { anthropic } = options
  const info = isObject(anthropic) ? anthropic["info"] : undefined
  return isObject(info) ? info["signature"] : undefined
}

interface Turn {
  readonly role: unknown
  readonly path: string
  readonly blocks: Array<Json>
}

/** What is wrong with a history; nothing if it would be accepted. */
export const anthropicViolations = (request: unknown): ReadonlyArray<string> =>
  complaintsOf((complain) => {
    if (!isObject(request)) return complain("body", "is no object")
    const allowed = ["system", "model", "max_tokens", "tools", "tool_choice", "stream"]
    checkFields(request, "body", { needed: ["messages"], allowed }, complain)
    const { messages, system } = request
    if (system !== undefined && !isWords(system)) complain("system", "is no text")
    if (!Array.isArray(messages) || messages.length === 0) {
      return complain("messages", "is no list with a message in it")
    }
    const turns = turnsOf(messages, complain)
    if (turns[0]?.role !== "user") complain("messages[0]", "is not from the user")
    const seen: Array<unknown> = []
    for (const [index, turn] of turns.entries()) {
      checkTurn(turn, turns[index - 1], turns[index + 1], complain)
      seen.push(...idsOf(turn, "tool_use", "id"))
    }
    for (const id of doubles(seen))
      complain("messages", `have two tool_use blocks with the id ${shown(id)}`)
    const last = turns.at(-1)
    const end = last?.role === "assistant" ? last.blocks.at(-1)?.["text"] : undefined
    if (typeof end === "string" && end.trimEnd() !== end) {
      complain(last?.path ?? "", "is the last message and ends with white space")
    }
  })

// Messages of one role in a row are one turn to the API.
const turnsOf = (messages: ReadonlyArray<unknown>, complain: Complain): ReadonlyArray<Turn> => {
  const turns: Array<Turn> = []
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`
    if (!isObject(message)) {
      complain(path, "is no object")
      continue
    }
    checkFields(message, path, { needed: ["role", "content"] }, complain)
    const { content, role } = message
    if (role !== "user" && role !== "assistant") complain(path, `has the role ${shown(role)}`)
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content
    if (!Array.isArray(blocks) || blocks.length === 0) {
      complain(path, "has no content")
      continue
    }
    const before = turns.at(-1)
    const turn: Turn =
      before !== undefined && before.role === role ? before : { role, path, blocks: [] }
    if (turn !== before) turns.push(turn)
    for (const [at, block] of blocks.entries()) {
      if (isObject(block)) {
        checkBlock(block, role, `${path}.content[${at}]`, complain)
        turn.blocks.push(block)
      } else complain(`${path}.content[${at}]`, "is no object")
    }
  }
  return turns
}

const checkBlock = (block: Json, role: unknown, path: string, complain: Complain): void => {
  switch (block["type"]) {
    case "text": {
      checkFields(block, path, { needed: ["type", "text"] }, complain)
      if (!isWords(block["text"])) complain(path, "is a text of nothing but white space")
      return
    }
    case "thinking": {
      checkFields(block, path, { needed: ["type", "thinking", "signature"] }, complain)
      if (role !== "assistant") complain(path, "is a thought, but not of the assistant")
      if (!isText(block["signature"])) complain(path, "has no signature")
      return
    }
    case "tool_use": {
      checkFields(block, path, { needed: ["type", "id", "name", "input"] }, complain)
      if (role !== "assistant") complain(path, "is a tool_use, but not of the assistant")
      if (!/^[a-zA-Z0-9_-]+$/.test(String(block["id"])))
        complain(path, "has no id of the right form")
      if (!isText(block["name"])) complain(path, "has no name")
      if (!isObject(block["input"])) complain(path, "has an input that is no object")
      return
    }
    case "tool_result": {
      const allowed = ["content", "is_error"]
      checkFields(block, path, { needed: ["type", "tool_use_id"], allowed }, complain)
      if (role !== "user") complain(path, "is a tool_result, but not of the user")
      if (!["boolean", "undefined"].includes(typeof block["is_error"])) {
        complain(path, "has an is_error that is no boolean")
      }
      const { content } = block
      if (content !== undefined && typeof content !== "string" && !Array.isArray(content)) {
        complain(path, "has a content that is neither text nor a list of blocks")
      }
      return
    }
    default:
      complain(path, `has the type ${shown(block["type"])}`)
  }
}

const checkTurn = (
  turn: Turn,
  before: Turn | undefined,
  after: Turn | undefined,
  complain: Complain
): void => {
  const answered = idsOf(after, "tool_result", "tool_use_id")
  for (const id of idsOf(turn, "tool_use", "id")) {
    const times = answered.filter((other) => other === id).length
    if (times !== 1) {
      complain(
        turn.path,
        `has the tool_use ${shown(id)}, answered ${times} times in the next message`
      )
    }
  }
  const asked = idsOf(before, "tool_use", "id")
  for (const id of idsOf(turn, "tool_result", "tool_use_id")) {
    if (!asked.includes(id))
      complain(turn.path, `answers ${shown(id)}, which the message before did not ask`)
  }
  const types = turn.blocks.map((block) => block["type"])
  if (types.at(-1) === "thinking") complain(turn.path, "ends with a thought")
  const results = types.filter((type) => type === "tool_result").length
  if (types.slice(0, results).some((type) => type !== "tool_result")) {
    complain(turn.path, "has a tool_result after another block")
  }
}

const idsOf = (turn: Turn | undefined, type: string, field: string): ReadonlyArray<unknown> =>
  turn?.blocks.filter((block) => block["type"] === type).map((block) => block[field]) ?? []

const isWords = (value: unknown): boolean => typeof value === "string" && value.trim() !== ""
