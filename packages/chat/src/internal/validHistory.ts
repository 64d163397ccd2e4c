/**
 * What providers refuse in a history, and what is done about it.
 *
 * They refuse it at the next turn, and at every turn after that, so a chat with one such message is
 * a chat that has ended.
 */
import { Prompt } from "effect/ai"
import { plain, plainText } from "./plainJson.ts"
import { refusedResult } from "./stoppedResult.ts"

/**
 * Makes messages such that they can follow others, of which the calls' ids are not used again.
 *
 * `goesOn`: the provider is to go on with the last message, so a call of its own stays in it without
 * a result.
 */
export const validAfter = (
  before: ReadonlyArray<Prompt.Message>,
  messages: ReadonlyArray<Prompt.Message>,
  { goesOn = false }: { readonly goesOn?: boolean } = {}
): ReadonlyArray<Prompt.Message> => {
  const names = makeNames(before)
  const valid: Array<Prompt.Message> = []
  for (let index = 0; index < messages.length;) {
    const message = messages[index]
    if (message === undefined) break
    if (message.role === "assistant") {
      const said = takeWhile(messages, index, isAssistant)
      index += said.length
      const told = takeWhile(messages, index, isTool)
      index += told.length
      valid.push(...turn(names, said, told, goesOn && index === messages.length))
    } else {
      index++
      // Results that follow no assistant's message are answers to nothing.
      if (message.role !== "tool" && saysAnything(message)) valid.push(withoutBlanks(message))
    }
  }
  return valid
}

type AssistantPart = Prompt.AssistantMessagePart
type Result = Prompt.ToolResultPart

// The assistant's messages in a row, which providers take for one, and the results that follow them.
const turn = (
  names: Names,
  said: ReadonlyArray<Prompt.AssistantMessage>,
  told: ReadonlyArray<Prompt.ToolMessage>,
  goesOn: boolean
): ReadonlyArray<Prompt.Message> => {
  const parts = said.flatMap(({ content }) => content)
  const hosted = hostedPairs(parts)
  const isAnswered = new Set(hosted.values())
  const left = [...parts, ...told.flatMap(({ content }) => content)].filter(isOwnResult)
  const hostedIds = new Map<Prompt.ToolCallPart, string>()

  return said.flatMap((message, index) => {
    const results: Array<Result> = []
    const mayGoOn = goesOn && index === said.length - 1
    const content = message.content.flatMap((part): ReadonlyArray<AssistantPart> => {
      switch (part.type) {
        case "text":
          return isBlank(part.text) ? [] : [{ ...part, text: plainText(part.text) }]
        case "tool-call": {
          if (part.providerExecuted) {
            if (!mayGoOn && !isAnswered.has(part)) return []
            const id = names.fresh(part.id, longestHosted)
            hostedIds.set(part, id)
            return [readableCall(part, id)]
          }
          const call = readableCall(part, names.fresh(part.id, longestId))
          const at = left.findIndex(({ id }) => id === part.id)
          const [result] = at === -1 ? [] : left.splice(at, 1)
          results.push(result === undefined ? cutShort(call) : readableResult(result, call.id))
          return [call]
        }
        case "tool-result": {
          const asked = hosted.get(part)
          const id = asked && hostedIds.get(asked)
          return id === undefined ? [] : [readableResult(part, id)]
        }
        // Nobody answers it any more.
        case "tool-approval-request":
          return []
        case "file":
        case "reasoning":
          return [part]
      }
    })
    const spoken = withoutLastThoughts(content)
    return [
      ...(spoken.length === 0 ? [] : [{ ...message, content: spoken }]),
      ...(results.length === 0 ? [] : [Prompt.makeMessage("tool", { content: results })])
    ]
  })
}

// Which call each result of the provider's own answers: the last of its id that has none yet.
const hostedPairs = (
  parts: ReadonlyArray<AssistantPart>
): ReadonlyMap<Result, Prompt.ToolCallPart> => {
  const pairs = new Map<Result, Prompt.ToolCallPart>()
  const waiting: Array<Prompt.ToolCallPart> = []
  for (const part of parts) {
    if (part.type === "tool-call" && part.providerExecuted) waiting.push(part)
    if (part.type === "tool-result" && part.providerExecuted) {
      const at = waiting.findLastIndex(({ id }) => id === part.id)
      const [call] = at === -1 ? [] : waiting.splice(at, 1)
      if (call !== undefined) pairs.set(part, call)
    }
  }
  return pairs
}

// What the strictest takes.
const longestId = 40

// The ids of a provider's own calls go back to that provider alone, which makes longer ones.
const longestHosted = 64

interface Names {
  /** The id, or one like it if it is taken or not of the form that all providers take. */
  readonly fresh: (id: string, longest: number) => string
}

const makeNames = (before: ReadonlyArray<Prompt.Message>): Names => {
  const taken = new Set(
    before.flatMap((message) =>
      message.role === "assistant"
        ? message.content.flatMap((part) => (part.type === "tool-call" ? [part.id] : []))
        : []
    )
  )
  return {
    fresh: (id, longest) => {
      const name = inAlphabet(id, "call")
      let fresh = name.slice(0, longest)
      for (let count = 2; taken.has(fresh); count++) {
        const suffix = `-${count}`
        fresh = `${name.slice(0, longest - suffix.length)}${suffix}`
      }
      taken.add(fresh)
      return fresh
    }
  }
}

// A model may wish for a tool whose name no provider takes back: `functions.search`.
const named = (name: string): string => inAlphabet(name, "tool").slice(0, 64)

const inAlphabet = (name: string, otherwise: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_-]/g, "_") || otherwise

// Of parameters that are no object one provider takes nothing back.
const readableCall = (part: Prompt.ToolCallPart, id: string): Prompt.ToolCallPart => {
  const params = plain(part.params)
  const isObject = typeof params === "object" && params !== null && !Array.isArray(params)
  const shown = isObject ? params : params === null ? {} : { value: params }
  return { ...part, id, name: named(part.name), params: shown }
}

const readableResult = (part: Result, id: string): Result => ({
  ...part,
  id,
  name: named(part.name),
  result: plain(part.result)
})

const cutShort = (call: Prompt.ToolCallPart): Result =>
  refusedResult(
    call,
    "execution-interrupted",
    "This call was cut short. Whether it had an effect is not known."
  )

const isOwnResult = (part: AssistantPart | Prompt.ToolMessagePart): part is Result =>
  part.type === "tool-result" && !part.providerExecuted

const isBlank = (text: string): boolean => text.trim() === ""

const withoutLastThoughts = (content: ReadonlyArray<AssistantPart>) =>
  content.slice(0, content.findLastIndex(({ type }) => type !== "reasoning") + 1)

const saysAnything = (message: Prompt.SystemMessage | Prompt.UserMessage): boolean =>
  message.role === "system"
    ? !isBlank(message.content)
    : message.content.some((part) => part.type !== "text" || !isBlank(part.text))

const withoutBlanks = <M extends Prompt.SystemMessage | Prompt.UserMessage>(message: M): M => {
  if (message.role === "system") return message
  const content = message.content.filter((part) => part.type !== "text" || !isBlank(part.text))
  return content.length === message.content.length ? message : { ...message, content }
}

const isAssistant = (message: Prompt.Message): message is Prompt.AssistantMessage =>
  message.role === "assistant"

const isTool = (message: Prompt.Message): message is Prompt.ToolMessage => message.role === "tool"

const takeWhile = <M extends Prompt.Message>(
  messages: ReadonlyArray<Prompt.Message>,
  from: number,
  is: (message: Prompt.Message) => message is M
): ReadonlyArray<M> => {
  const taken: Array<M> = []
  for (const message of messages.slice(from)) {
    if (!is(message)) break
    taken.push(message)
  }
  return taken
}
