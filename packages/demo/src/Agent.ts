/**
 * The agent of the demo: `AgentLoop` into the message of a run, shown while it is written, and stored
 * with the turn that the next question goes on from.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Prompt } from "effect/ai"
import type { CancellationWatcher, MessageContent, MessageRepo, Run } from "effect-cancellation"
import { type AgentEvent, AgentLoop, ChatService, type EndedCall } from "effect-cancellation-chat"
import { Drafts, type DraftText } from "./Drafts.ts"
import { encodeReferences, ToolLine } from "./ToolLine.ts"
import { labelOf, toolkit } from "./Tools.ts"

/** A run that writes an answer. */
export const layer = (
  { ref, runId }: Run,
  pollInterval: Duration.Input = "1 second"
): Layer.Layer<ChatService | CancellationWatcher, never, MessageRepo | MessageContent> =>
  ChatService.layer({
    ref,
    runId,
    pollInterval,
    saveInterval: "250 millis",
    finalWriteTimeout: "10 seconds"
  })

/** Writes the answer to what was said. */
export const answer = Effect.fn("Agent.answer")(function* (prompt: Prompt.Prompt) {
  const chat = yield* ChatService
  const drafts = yield* Drafts
  const run = yield* chat.cancellation.run
  const scope = yield* Effect.scope
  let draft: DraftText = { text: "", tools: [] }
  let turn: ReadonlyArray<Prompt.Message> = []

  const show = (changed: Partial<DraftText>) =>
    Effect.suspend(() => {
      draft = { ...draft, ...changed }
      return drafts.put(run, draft)
    })
  const references = () => ({ references: encodeReferences(draft.tools, turn) })
  // Other processes show tool lines too. No tool waits for a database that is away.
  const save = Effect.suspend(() => chat.saveAssistantMessage(references())).pipe(
    Effect.ignore,
    Effect.forkIn(scope)
  )

  const observe = (event: AgentEvent): Effect.Effect<void> => {
    switch (event._tag) {
      case "Text":
        return show({ text: event.text })
      case "ToolStarted": {
        const { id } = event.call
        const label = labelOf(event.call)
        const line = ToolLine.make({ id, at: draft.text.length, label, state: "running" })
        return Effect.andThen(show({ tools: [...draft.tools, line] }), save)
      }
      case "ToolEnded":
        return Effect.andThen(show({ tools: draft.tools.map(ended(event.call)) }), save)
    }
  }

  yield* show({})
  return yield* AgentLoop.run({
    prompt,
    toolkit,
    maxIterations: 8,
    observe,
    save: (messages) => {
      turn = messages
      return references()
    }
  })
}, Effect.scoped)

const ended =
  (call: EndedCall) =>
  (line: ToolLine): ToolLine => {
    // A model may use an id again in its next answer.
    if (line.id !== call.id || line.state !== "running") return line
    return call.end === "interrupted"
      ? ToolLine.make({ ...line, state: "stopped" })
      : ToolLine.make({ ...line, state: "done", result: shown(call.result) })
  }

const shown = (result: unknown): string => {
  const text = typeof result === "string" ? result : JSON.stringify(result)
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`
}
