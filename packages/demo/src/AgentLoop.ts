/**
 * An agent that can be stopped: ask the model, use its tools, ask again, until it has no more wishes.
 *
 * A stop is seen in four places. Before a step, `check` asks the store, so that no step begins after
 * a stop. The model's stream and each tool are interrupted where they stand. Between two tools the
 * flag is enough, since reading it costs nothing. The text so far is kept by `Draft`.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CancellationWatcher } from "effect-cancellation"
import { Draft } from "./Draft.ts"
import { ScriptedModel, type ToolCall } from "./ScriptedModel.ts"
import { Tools } from "./Tools.ts"

const maxSteps = 8

export const answer = Effect.fn("AgentLoop.answer")(function* (question: string) {
  const watcher = yield* CancellationWatcher
  const draft = yield* Draft
  const model = yield* ScriptedModel
  const tools = yield* Tools
  const results: Array<string> = []

  for (let step = 0; step < maxSteps; step++) {
    if (yield* watcher.check) break

    const calls: Array<ToolCall> = []
    yield* model.stream(question, results).pipe(
      CancellationWatcher.streamWithCancellation(),
      Stream.runForEach((part) =>
        part._tag === "Words" ? draft.write(part.text) : Effect.sync(() => calls.push(part))
      )
    )

    for (const call of calls) {
      if (yield* watcher.isCancelled) break
      const result = yield* draft.showTool(
        call.label,
        tools.run(call).pipe(CancellationWatcher.runWithCancellation({ cancelResult: undefined }))
      )
      if (result !== undefined) results.push(result)
    }

    if (calls.length === 0) break
  }
})
