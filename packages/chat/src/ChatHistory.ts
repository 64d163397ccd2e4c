/**
 * What was said in a chat, in a form that every provider accepts.
 *
 * Providers refuse a history in which a tool call has no result, or a message has nothing in it, and
 * they refuse it at the next turn, when nobody thinks of the stop any more.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Prompt, type Response } from "effect/ai"
import type { Message } from "effect-cancellation"

/**
 * The messages of one answer of a model and of the tools it called.
 *
 * What says nothing is left out: an empty text, thoughts that nothing follows, a call that the provider
 * ran itself and that was cut short.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofResponse = (
  parts: ReadonlyArray<Response.AnyPart>,
  results: ReadonlyArray<Prompt.ToolResultPart>
): ReadonlyArray<Prompt.Message> => {
  const said = Prompt.fromResponseParts(parts).content
  return valid([
    ...said,
    ...(results.length === 0 ? [] : [Prompt.makeMessage("tool", { content: [...results] })])
  ])
}

/**
 * Makes any history one that providers accept: what says nothing is left out, and a call without a
 * result gets one that says that it was cut short.
 *
 * @category combinators
 * @since 0.1.0
 */
export const valid = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<Prompt.Message> => {
  const answered: Array<Prompt.Message> = []
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index]
    if (message === undefined) break
    if (message.role !== "assistant") {
      // One that answers no call is an answer to nothing.
      if (message.role !== "tool") answered.push(message)
      continue
    }
    const tidied = tidy(message)
    if (tidied === undefined) continue
    answered.push(tidied)
    const results: Array<Prompt.ToolMessagePart> = []
    for (let next = messages[index + 1]; next?.role === "tool"; next = messages[index + 1]) {
      results.push(...next.content)
      index++
    }
    const calls = tidied.content.filter(isOwnCall)
    const content = calls.map((call) => results.find(isResultOf(call)) ?? cutShort(call))
    if (content.length > 0) answered.push(Prompt.makeMessage("tool", { content }))
  }
  return answered
}

/**
 * The history of a chat, oldest first: of a person's message its text, of an answer its turn if one
 * was stored with it, else its text.
 *
 * `turnOf` finds the stored turn in a message, as `encode` made it; one that cannot be read is logged,
 * and the text stands for it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const fromMessages = Effect.fnUntraced(function* (
  messages: ReadonlyArray<Message>,
  turnOf: (message: Message) => unknown = () => undefined
): Effect.fn.Return<Prompt.Prompt> {
  const turns = yield* Effect.forEach(messages, (message) => {
    const stored = message.role === "assistant" ? turnOf(message) : undefined
    return stored === undefined
      ? Effect.succeed(textOf(message))
      : Effect.catch(decode(stored), (error) =>
          Effect.as(
            Effect.logWarning(
              `The stored turn of message ${message.ref.messageId} cannot be read, its text stands for it: ${error.message}`
            ),
            textOf(message)
          )
        )
  })
  return Prompt.fromMessages(valid(turns.flat()))
})

/**
 * A turn as JSON, to be stored with its message.
 *
 * @category codecs
 * @since 0.1.0
 */
export const encode = (messages: ReadonlyArray<Prompt.Message>): Schema.Json => encodeTurn(messages)

/**
 * Reads what `encode` made.
 *
 * @category codecs
 * @since 0.1.0
 */
export const decode = (
  stored: unknown
): Effect.Effect<ReadonlyArray<Prompt.Message>, Schema.SchemaError> => decodeTurn(stored)

const Turn = Schema.toCodecJson(Schema.Array(Prompt.Message))
const encodeTurn = Schema.encodeSync(Turn)
const decodeTurn = Schema.decodeUnknownEffect(Turn)

const textOf = ({ role, text }: Message): ReadonlyArray<Prompt.Message> => {
  if (text.trim() === "") return []
  if (role === "system") return [Prompt.makeMessage("system", { content: text })]
  const content = [Prompt.makePart("text", { text })]
  return [
    role === "user"
      ? Prompt.makeMessage("user", { content })
      : Prompt.makeMessage("assistant", { content })
  ]
}

const isOwnCall = (part: Prompt.AssistantMessagePart): part is Prompt.ToolCallPart =>
  part.type === "tool-call" && !part.providerExecuted

const isResultOf =
  (call: Prompt.ToolCallPart) =>
  (part: Prompt.ToolMessagePart): part is Prompt.ToolResultPart =>
    part.type === "tool-result" && part.id === call.id

const cutShort = ({ id, name }: Prompt.ToolCallPart) =>
  Prompt.toolResultPart({
    id,
    name,
    isFailure: true,
    result: {
      type: "execution-interrupted",
      reason: "This call was cut short. Whether it had an effect is not known."
    },
    providerExecuted: false
  })

const tidy = (message: Prompt.AssistantMessage): Prompt.AssistantMessage | undefined => {
  const { content } = message
  const resultIds = new Set(
    content.flatMap((part) => (part.type === "tool-result" ? [part.id] : []))
  )
  const says = content.filter(
    (part) =>
      (part.type !== "text" || part.text.trim() !== "") &&
      (part.type !== "tool-call" || !part.providerExecuted || resultIds.has(part.id))
  )
  const last = says.findLastIndex((part) => part.type !== "reasoning")
  return last === -1
    ? undefined
    : Prompt.makeMessage("assistant", {
        content: says.slice(0, last + 1),
        options: message.options
      })
}
