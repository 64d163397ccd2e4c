/**
 * Tells an observer what becomes of tool calls, and never lets it delay the end of the run: it is
 * waited for while the run goes on, and for a second at most once the run is stopped.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { CancellationWatcher } from "effect-cancellation"
import { AgentEvent, type EndedCall } from "../AgentEvent.ts"
import type { ToolCall } from "../Completion.ts"

export interface Teller {
  /** Begins to tell that the call begins, and waits for nothing. The telling ends with the scope. */
  readonly started: (call: ToolCall, scope: Scope.Scope) => Effect.Effect<void>
  /** Tells how the call ended, after it is told that it began. */
  readonly ended: (call: ToolCall, how: EndedCall) => Effect.Effect<void>
}

export const makeTeller = (
  watcher: CancellationWatcher["Service"],
  observe: ((event: AgentEvent) => Effect.Effect<void>) | undefined
): Teller => {
  if (observe === undefined) return { started: () => Effect.void, ended: () => Effect.void }
  const begun = new Map<ToolCall, Fiber.Fiber<void>>()
  let isGivenUp = false

  const giveUp = Effect.suspend(() => {
    if (isGivenUp) return Effect.void
    isGivenUp = true
    return Effect.logWarning(
      "The observer of the agent is not waited for any more: one second after the stop it was still busy. Let `observe` be quick"
    )
  })
  const late = watcher.cancellation.pipe(
    Effect.andThen(Effect.sleep("1 second")),
    Effect.andThen(giveUp)
  )
  const tell = (event: AgentEvent) =>
    Effect.suspend(() => (isGivenUp ? Effect.void : Effect.raceFirst(observe(event), late)))

  return {
    started: (call, scope) =>
      tell(AgentEvent.ToolStarted({ call })).pipe(
        // Its first step before the tool's; and not in the region of a tool that nothing interrupts.
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.map((fiber) => void begun.set(call, fiber))
      ),
    ended: (call, how) =>
      Effect.suspend(() => {
        const fiber = begun.get(call)
        return fiber === undefined ? Effect.void : Fiber.join(fiber)
      }).pipe(Effect.andThen(tell(AgentEvent.ToolEnded({ call: how }))))
  }
}
