/**
 * The agent's tools: each takes seconds, as real ones do.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ToolCall } from "./ScriptedModel.ts"
import { Settings } from "./Settings.ts"

export class Tools extends Context.Service<
  Tools,
  { readonly run: (call: ToolCall) => Effect.Effect<string> }
>()("effect-cancellation-demo/Tools") {
  static readonly layer: Layer.Layer<Tools, never, Settings> = Layer.effect(
    this,
    Effect.gen(function* () {
      const { speed } = yield* Settings
      return {
        run: ({ tool }) =>
          tool === "search"
            ? Effect.as(Effect.sleep(2500 / speed), "3 results")
            : Effect.as(Effect.sleep(4000 / speed), "10,000 cases, all in order")
      }
    })
  )
}
