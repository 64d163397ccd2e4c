/**
 * What is stored in the `references` of an answer: the use of tools as the page shows it, and the turn
 * as the model is told of it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Prompt } from "effect/ai"
import type { Message } from "effect-cancellation"
import { ChatHistory } from "effect-cancellation-chat"

export class ToolLine extends Schema.Class<ToolLine>("effect-cancellation-demo/ToolLine")({
  /** Of the call; lines from before there were any have none. */
  id: Schema.optionalKey(Schema.String),
  /** Where in the text the line belongs, in characters. */
  at: Schema.Natural,
  label: Schema.String,
  state: Schema.Literals(["running", "done", "stopped"]),
  result: Schema.optionalKey(Schema.String)
}) {}

const References = Schema.Struct({
  tools: Schema.Array(ToolLine),
  turn: Schema.optionalKey(Schema.Unknown)
})

const decode = Schema.decodeUnknownEffect(References)

/** As they are stored. Before the first step there is no turn: the text stands for it. */
export const encodeReferences = (
  tools: ReadonlyArray<ToolLine>,
  turn: ReadonlyArray<Prompt.Message>
): Schema.Json => ({
  tools: tools.map((line) => ({ ...line })),
  ...(turn.length === 0 ? {} : { turn: ChatHistory.encode(turn) })
})

/** The tool lines of a stored message; lines nobody can read are left out, the text stays. */
export const toolsOf = (message: Message): Effect.Effect<ReadonlyArray<ToolLine>> =>
  message.references === undefined
    ? Effect.succeed([])
    : decode(message.references).pipe(
        Effect.map(({ tools }) => tools),
        Effect.catch((error) =>
          Effect.as(
            Effect.logWarning(`Tool lines of ${message.ref.messageId}: ${error.message}`),
            []
          )
        )
      )

/** The stored turn of a message, if it has one. */
export const turnOf = ({ references }: Message): unknown =>
  hasTurn(references) ? references.turn : undefined

const hasTurn = Schema.is(Schema.Struct({ turn: Schema.Unknown }))
