/**
 * What a model is told of a tool call that a stop cut short: a result of the call, in the form that
 * effect/ai has for it, and not a word of the assistant's.
 */
import { Prompt } from "effect/ai"
import type { CancellationEvent, StopReason } from "effect-cancellation"
import type { ToolCall } from "../Completion.ts"

export const stoppedResult = (
  call: ToolCall,
  { request }: CancellationEvent,
  effect: "none" | "changesNothing" | "possible"
): Prompt.ToolResultPart =>
  refusedResult(call, "execution-interrupted", `${by(request.reason)} ${when[effect]}.`)

const when = {
  none: "before it began; it had no effect",
  changesNothing: "while it ran; it changes nothing",
  possible: "while it ran; it may have had an effect"
}

/** Of a call that was refused, that nobody can run, or of which there is no other result. */
export const refusedResult = (
  { id, name }: Pick<ToolCall, "id" | "name">,
  type: "execution-denied" | "execution-interrupted",
  reason: string
): Prompt.ToolResultPart =>
  Prompt.toolResultPart({
    id,
    name,
    isFailure: true,
    result: { type, reason },
    providerExecuted: false
  })

const by = (reason: StopReason): string => {
  switch (reason) {
    case "user":
      return "The user stopped this call"
    case "disconnect":
      return "The user left, and this call was stopped"
    case "deadline":
      return "The time for the answer ran out, and this call was stopped"
    case "shutdown":
      return "The server was shut down, and this call was stopped"
    case "parent":
      return "What this was done for was stopped, and this call with it,"
    case "deleted":
      return "The message was deleted, and this call was stopped"
    case "unreachable":
      return "The server lost its database, and this call was stopped"
    default:
      return `This call was stopped (${reason.slice("other:".length)})`
  }
}
