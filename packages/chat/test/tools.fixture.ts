/** An agent that uses tools, and is stopped while they are under way. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Tool, Toolkit } from "effect/ai"
import { MessageRepo } from "effect-cancellation"
import { AgentLoop, ChatService, type ChatServiceOptions } from "../src/index.ts"
import { ref, runId } from "./support/chat.ts"
import * as ScriptedModel from "./support/scriptedModel.ts"

/** A model that wishes for these tools, in one answer, and then has no more wishes. */
const modelCalling = (...names: ReadonlyArray<string>) =>
  ScriptedModel.layer([
    ...names.flatMap((name) => ScriptedModel.calls(name)),
    ScriptedModel.ends("tool-calls")
  ])

/**
 * Runs an agent whose model wishes for these tools, of the toolkit all if none are named, and presses Stop through the store once `underWay` has
 * seen that they are. Nothing here waits for the clock. Answers a fiber, so that a test can look at
 * what the stop does before the agent has ended.
 */
export const stopped = Effect.fnUntraced(function* <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.WithHandler<Tools>,
  underWay: Effect.Effect<unknown>,
  {
    calls = Object.keys(toolkit.tools),
    ...options
  }: Omit<ChatServiceOptions, "ref" | "runId"> & { readonly calls?: ReadonlyArray<string> } = {}
) {
  const repo = yield* MessageRepo
  const agent = yield* AgentLoop.run({ prompt: "Do it.", toolkit }).pipe(
    Effect.provide([ChatService.layer({ ref, runId, ...options }), modelCalling(...calls)]),
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.raceFirst(underWay, Effect.andThen(Fiber.join(agent), tooEarly))
  yield* repo.requestStop(ref)
  return agent
})

const tooEarly = Effect.suspend(() =>
  Effect.die(new Error("The agent ended before it was stopped"))
)

/** The same, waiting for the end: what the stop came upon, call by call. */
export const stoppedCalls = <Tools extends Record<string, Tool.Any>>(
  ...args: Parameters<typeof stopped<Tools>>
) =>
  Effect.gen(function* () {
    const result = yield* Effect.flatMap(stopped(...args), Fiber.join)
    if (result._tag !== "Stopped") return yield* Effect.die(new Error(`It is ${result._tag}`))
    return result.underWay._tag === "Tools"
      ? result.underWay.calls.map(({ end, name }) => `${name}: ${end}`)
      : [result.underWay._tag]
  })
