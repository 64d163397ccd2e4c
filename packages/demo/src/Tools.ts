/**
 * The agent's tools: each takes seconds, as real ones do, and changes nothing in the world.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Tool, Toolkit } from "effect/ai"
import type { ToolCall } from "effect-cancellation-chat"
import { Settings } from "./Settings.ts"

const Search = Tool.make("search", {
  description: "Searches a small library for a subject.",
  parameters: Schema.Struct({ subject: Schema.String }),
  success: Schema.String
}).annotate(Tool.Readonly, true)

const Calculation = Tool.make("calculation", {
  description: "Checks the numbers of an answer, which takes some seconds.",
  success: Schema.String
}).annotate(Tool.Readonly, true)

export const toolkit = Toolkit.make(Search, Calculation)

export const layer = toolkit.toLayer(
  Effect.gen(function* () {
    const { speed } = yield* Settings
    return toolkit.of({
      search: () => Effect.as(Effect.sleep(2500 / speed), "3 results"),
      calculation: () => Effect.as(Effect.sleep(4000 / speed), "10,000 cases, all in order")
    })
  })
) satisfies Layer.Layer<Tool.HandlersFor<typeof toolkit.tools>, never, Settings>

/** What the page shows while a tool works. */
export const labelOf = ({ name, params }: ToolCall): string => {
  if (name === "calculation") return "Running a long calculation"
  return isSearch(params) && name === "search"
    ? `Searching for “${params.subject}”`
    : `Using the tool ${name}`
}

const isSearch = Schema.is(Search.parametersSchema)
