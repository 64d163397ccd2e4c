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
import { validAfter } from "./internal/validHistory.ts"

/**
 * The messages of one answer of a model and of the tools it called, as `valid` makes them.
 *
 * `before` is what was said before: the ids of its calls are not used again.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofResponse = (
  parts: ReadonlyArray<Response.AnyPart>,
  results: ReadonlyArray<Prompt.ToolResultPart>,
  before: ReadonlyArray<Prompt.Message> = []
): ReadonlyArray<Prompt.Message> =>
  validAfter(before, [
    ...Prompt.fromResponseParts(parts).content,
    Prompt.makeMessage("tool", { content: results })
  ])

/**
 * Makes any history one that providers accept.
 *
 * What says nothing is left out: an empty text, thoughts that nothing follows, a call that the provider
 * ran itself and that was cut short, a question for approval. A call without a result gets one that
 * says that it was cut short; a result without a call goes. Ids that are used twice, and ids and names
 * of tools that are too long or have letters that not all providers take, are changed; parameters
 * become an object, and parameters and results plain JSON.
 *
 * @category combinators
 * @since 0.1.0
 */
export const valid = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<Prompt.Message> =>
  validAfter([], messages)

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
      : decode(stored).pipe(
          Effect.catch((error) =>
            Effect.as(
              Effect.logWarning(
                `The stored turn of message ${message.ref.messageId} cannot be read, its text stands for it: ${error.message}`
              ),
              textOf(message)
            )
          )
        )
  })
  return Prompt.fromMessages(valid(turns.flat()))
})

/**
 * A turn as JSON, to be stored with its message; it is made `valid`.
 *
 * @category codecs
 * @since 0.1.0
 */
export const encode = (messages: ReadonlyArray<Prompt.Message>): Schema.Json =>
  encodeTurn(valid(messages))

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
