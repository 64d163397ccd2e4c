// Whether a request is one that a strict server of the chat-completions protocol accepts, written
// from what the protocol's documentation says and what its servers refuse.
import {
  checkFields,
  complaintsOf,
  type Complain,
  doubles,
  isObject,
  isText,
  shown
} from "./shape.ts"

const longestId = 40
const toolName = /^[a-zA-Z0-9_-]{1,64}$/

// Of the documented fields those that this repository sends or may be told to send.
const bodyFields = {
  needed: ["model", "messages"],
  allowed: [
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "metadata",
    "user"
  ]
}

/** What is wrong with the body of a request; nothing if it would be accepted. */
export const requestViolations = (body: unknown): ReadonlyArray<string> =>
  complaintsOf((complain) => {
    if (!isObject(body)) return complain("body", "is no object")
    checkFields(body, "body", bodyFields, complain)
    if (!isText(body["model"])) complain("model", "is no non-empty string")
    if (body["stream"] !== true && body["stream_options"] !== undefined) {
      complain("stream_options", "is only allowed with stream: true")
    }
    checkMessages(body["messages"], complain)
    checkTools(body, complain)
  })

/** What is wrong with the messages of a request; nothing if they would be accepted. */
export const messageViolations = (messages: unknown): ReadonlyArray<string> =>
  complaintsOf((complain) => checkMessages(messages, complain))

const checkMessages = (messages: unknown, complain: Complain): void => {
  if (!Array.isArray(messages) || messages.length === 0) {
    return complain("messages", "is no list with a message in it")
  }
  // The calls of the assistant's message just before that have no answer yet.
  let unanswered: Array<unknown> = []
  let answered: Array<unknown> = []
  const mustBeAnswered = (path: string) => {
    for (const id of unanswered)
      complain(path, `comes before the answer to the tool call ${shown(id)}`)
    unanswered = []
    answered = []
  }
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`
    if (!isObject(message)) {
      complain(path, "is no object")
      continue
    }
    if (message["role"] === "tool") {
      checkToolMessage(message, path, complain)
      const id = message["tool_call_id"]
      if (unanswered.includes(id)) {
        unanswered = unanswered.filter((other) => other !== id)
        answered.push(id)
      } else {
        complain(
          path,
          answered.includes(id)
            ? `answers the tool call ${shown(id)} a second time`
            : `answers ${shown(id)}, which no tool call of the assistant's message before it has`
        )
      }
      continue
    }
    mustBeAnswered(path)
    if (message["role"] === "assistant") {
      unanswered = checkAssistantMessage(message, path, complain)
    } else if (message["role"] === "user") {
      checkFields(message, path, { needed: ["role", "content"], allowed: ["name"] }, complain)
      checkContent(message["content"], `${path}.content`, ["text", "image_url"], complain)
    } else if (message["role"] === "system" || message["role"] === "developer") {
      checkFields(message, path, { needed: ["role", "content"], allowed: ["name"] }, complain)
      checkContent(message["content"], `${path}.content`, ["text"], complain)
    } else {
      complain(path, `has the unknown role ${shown(message["role"])}`)
    }
  }
  mustBeAnswered("the end")
}

const checkToolMessage = (message: Record<string, unknown>, path: string, complain: Complain) => {
  checkFields(message, path, { needed: ["role", "content", "tool_call_id"] }, complain)
  if (!isText(message["tool_call_id"])) complain(path, "has no tool_call_id of a letter or more")
  if (String(message["tool_call_id"]).length > longestId) {
    complain(path, "has a tool_call_id of more than 40 letters")
  }
  checkContent(message["content"], `${path}.content`, ["text"], complain)
}

/** Answers the ids of its calls. */
const checkAssistantMessage = (
  message: Record<string, unknown>,
  path: string,
  complain: Complain
): Array<unknown> => {
  const fields = { needed: ["role"], allowed: ["content", "name", "refusal", "tool_calls"] }
  checkFields(message, path, fields, complain)
  const calls = message["tool_calls"]
  const content = message["content"]
  if (content === null || content === undefined) {
    if (calls === undefined) complain(path, "has neither content nor tool_calls")
  } else {
    checkContent(content, `${path}.content`, ["text", "refusal"], complain)
  }
  if (calls === undefined) return []
  if (!Array.isArray(calls) || calls.length === 0) {
    complain(`${path}.tool_calls`, "is no list with a call in it")
    return []
  }
  for (const [index, call] of calls.entries())
    checkCall(call, `${path}.tool_calls[${index}]`, complain)
  const ids = calls.map((call: unknown) => (isObject(call) ? call["id"] : undefined))
  for (const id of doubles(ids)) complain(`${path}.tool_calls`, `has the id ${shown(id)} twice`)
  return [...new Set(ids)]
}

const checkCall = (call: unknown, path: string, complain: Complain): void => {
  if (!isObject(call)) return complain(path, "is no object")
  checkFields(call, path, { needed: ["id", "type", "function"] }, complain)
  if (!isText(call["id"])) complain(path, "has no id of a letter or more")
  if (String(call["id"]).length > longestId) complain(path, "has an id of more than 40 letters")
  if (call["type"] !== "function") complain(path, "is not of the type 'function'")
  const called = call["function"]
  if (!isObject(called)) return complain(`${path}.function`, "is no object")
  checkFields(called, `${path}.function`, { needed: ["name", "arguments"] }, complain)
  if (typeof called["name"] !== "string" || !toolName.test(called["name"])) {
    complain(`${path}.function.name`, "is no name of a tool")
  }
  if (!isJsonText(called["arguments"])) complain(`${path}.function.arguments`, "is no JSON text")
}

const checkContent = (
  content: unknown,
  path: string,
  types: ReadonlyArray<string>,
  complain: Complain
): void => {
  if (typeof content === "string") {
    if (content === "") complain(path, "is an empty string")
    return
  }
  if (!Array.isArray(content) || content.length === 0) {
    return complain(path, "is neither a string nor a list with a part in it")
  }
  for (const [index, part] of content.entries()) {
    const at = `${path}[${index}]`
    if (!isObject(part)) {
      complain(at, "is no object")
      continue
    }
    const { type } = part
    if (typeof type !== "string" || !types.includes(type)) {
      complain(at, `has the type ${shown(type)}, which is not allowed here`)
      continue
    }
    checkFields(part, at, { needed: ["type", type] }, complain)
    if (type === "image_url") checkImage(part[type], at, complain)
    else if (!isText(part[type])) complain(at, "has no text")
  }
}

const checkImage = (image: unknown, path: string, complain: Complain): void => {
  if (!isObject(image)) return complain(`${path}.image_url`, "is no object")
  checkFields(image, `${path}.image_url`, { needed: ["url"], allowed: ["detail"] }, complain)
  if (!/^(https?:\/\/|data:image\/\w+;base64,\w)/.test(String(image["url"]))) {
    complain(`${path}.image_url.url`, "is no address of an image")
  }
}

const checkTools = (body: Record<string, unknown>, complain: Complain): void => {
  const { tool_choice: choice, tools } = body
  if (tools === undefined) {
    if (choice !== undefined) complain("tool_choice", "is only allowed with tools")
    return
  }
  if (!Array.isArray(tools) || tools.length === 0) {
    return complain("tools", "is no list with a tool in it")
  }
  const names: Array<unknown> = []
  for (const [index, tool] of tools.entries()) {
    const path = `tools[${index}]`
    const declared = isObject(tool) ? tool["function"] : undefined
    if (!isObject(tool) || tool["type"] !== "function" || !isObject(declared)) {
      complain(path, "is no function")
      continue
    }
    checkFields(tool, path, { needed: ["type", "function"] }, complain)
    const allowed = ["description", "parameters", "strict"]
    checkFields(declared, `${path}.function`, { needed: ["name"], allowed }, complain)
    if (typeof declared["name"] !== "string" || !toolName.test(declared["name"])) {
      complain(`${path}.function.name`, "is no name of a tool")
    }
    const { parameters } = declared
    if (parameters !== undefined && (!isObject(parameters) || parameters["type"] !== "object")) {
      complain(`${path}.function.parameters`, "is no JSON Schema of an object")
    }
    names.push(declared["name"])
  }
  for (const name of doubles(names)) complain("tools", `has two tools named ${shown(name)}`)
  if (choice === undefined || choice === "auto" || choice === "none" || choice === "required")
    return
  const chosen = isObject(choice) && isObject(choice["function"]) ? choice["function"] : undefined
  if (!names.includes(chosen?.["name"])) complain("tool_choice", "names no tool of the request")
}

const isJsonText = (value: unknown): boolean => {
  try {
    JSON.parse(typeof value === "string" ? value : "")
    return true
  } catch {
    return false
  }
}
