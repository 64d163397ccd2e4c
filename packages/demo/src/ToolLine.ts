/**
 * The use of a tool, as it is shown in a message and stored in its `references`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Message } from "effect-cancellation"

export class ToolLine extends Schema.Class<ToolLine>("effect-cancellation-demo/ToolLine")({
  /** Where in the text the line belongs, in characters. */
  at: Schema.Natural,
  label: Schema.String,
  state: Schema.Literals(["running", "done", "stopped"]),
  result: Schema.optionalKey(Schema.String)
}) {}

const References = Schema.Struct({ tools: Schema.Array(ToolLine) })

const decode = Schema.decodeUnknownEffect(References)

/** As they are stored. */
export const encodeTools = (tools: ReadonlyArray<ToolLine>): Schema.Json => ({
  tools: tools.map((line) => ({ ...line }))
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
