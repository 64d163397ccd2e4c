/**
 * Runs the tools that a model wishes for, so that none begins after a stop.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Types from "effect/Types"
import { type AiError, Prompt, Tool, type Toolkit } from "effect/ai"
import type { CancellationWatcher } from "effect-cancellation"
import type { EndedCall, ToolEnd } from "../AgentEvent.ts"
import type { ToolCall } from "../Completion.ts"
import { Uncancellable } from "../Uncancellable.ts"
import { refusedResult, stoppedResult } from "./stoppedResult.ts"
import type { Teller } from "./telling.ts"
import { unannotated } from "./unannotated.ts"

/** A call that is over, with what the model is told. */
export interface Answered {
  readonly call: ToolCall
  readonly end: ToolEnd
  readonly result: Prompt.ToolResultPart
}

export interface ToolRunner<Tools extends Record<string, Tool.Any>> {
  readonly watcher: CancellationWatcher["Service"]
  readonly toolkit: Toolkit.WithHandler<Tools>
  readonly concurrency: Types.Concurrency | undefined
  readonly approve:
    | ((call: ToolCall, history: ReadonlyArray<Prompt.Message>) => Effect.Effect<boolean>)
    | undefined
  readonly teller: Teller
}

/**
 * Runs all calls of one answer; those that a stop keeps from beginning are answered too. Should one
 * fail, or the fiber be interrupted, `onBroken` is given the answers that there are.
 */
export const runCalls = <Tools extends Record<string, Tool.Any>>(
  runner: ToolRunner<Tools>,
  calls: ReadonlyArray<ToolCall>,
  history: ReadonlyArray<Prompt.Message>,
  onBroken: (answers: ReadonlyArray<Answered>) => Effect.Effect<void>
): Effect.Effect<
  ReadonlyArray<Answered>,
  Tool.HandlerError<Tools[keyof Tools]> | AiError.AiError,
  Tool.HandlerServices<Tools[keyof Tools]>
> =>
  Effect.scopedWith((scope) => {
    const answers = new Map<ToolCall, Answered>()
    const answer = (answered: Answered) => {
      answers.set(answered.call, answered)
      return answered
    }
    return Effect.forEach(
      calls,
      (call) =>
        runOne(runner, call, history, answer, scope).pipe(
          Effect.map(answer),
          Effect.tap((answered) => tellEnded(runner, answered))
        ),
      { concurrency: runner.concurrency ?? "unbounded" }
    ).pipe(
      Effect.onError(() =>
        Effect.suspend(() => onBroken(calls.flatMap((call) => answers.get(call) ?? [])))
      )
    )
  })

/** Of calls that came too late to be begun. */
export const notStarted = (
  watcher: CancellationWatcher["Service"],
  calls: ReadonlyArray<ToolCall>
): Effect.Effect<ReadonlyArray<Answered>> =>
  Effect.forEach(calls, (call) => stopped(watcher, call, "none"))

/** Of a call of an answer that broke off: nobody knows whether it was meant so. */
export const cutOff = (call: ToolCall, why: string): Answered =>
  finished(
    call,
    refusedResult(
      call,
      "execution-interrupted",
      `This call was not begun: the answer broke off (${why}).`
    )
  )

/** As observers and results show it. */
export const endedCall = ({ call, end, result }: Answered): EndedCall => ({
  ...call,
  end,
  result: result.result,
  isFailure: result.isFailure
})

/** Tells how the call ended. */
export const tellEnded = (
  { teller }: Pick<ToolRunner<{}>, "teller">,
  answered: Answered
): Effect.Effect<void> => teller.ended(answered.call, endedCall(answered))

const runOne = Effect.fnUntraced(function* <Tools extends Record<string, Tool.Any>>(
  runner: ToolRunner<Tools>,
  call: ToolCall,
  history: ReadonlyArray<Prompt.Message>,
  answer: (answered: Answered) => Answered,
  scope: Scope.Scope
) {
  const { toolkit, watcher } = runner
  const tool = toolOf(toolkit, call.name)
  if (tool === undefined) {
    const names = Object.keys(toolkit.tools)
      .filter((name) => toolOf(toolkit, name) !== undefined)
      .join(", ")
    const reason = `There is no tool ${JSON.stringify(call.name)}; there are: ${names || "none"}.`
    return finished(call, refusedResult(call, "execution-interrupted", reason))
  }
  const approved = yield* watcher.runWithCancellation(isApproved(runner, tool, call, history))
  if (Option.isNone(approved)) return yield* stopped(watcher, call, "none")
  if (!approved.value) {
    const reason = `The tool ${call.name} needs an approval, which was not given.`
    return finished(call, refusedResult(call, "execution-denied", reason))
  }
  return yield* Context.get(tool.annotations, Uncancellable)
    ? runToItsEnd(runner, tool, call, answer, scope)
    : runUntilStopped(runner, tool, call, scope)
})

// The store is asked before the world is changed; for one that only reads, the flag is enough. Asked
// and begun in one fiber, so that as little as can be lies between the answer and the tool.
const isStopped = (
  { watcher }: { readonly watcher: CancellationWatcher["Service"] },
  tool: Tool.Any
) => (isReadonly(tool) ? watcher.isCancelled : watcher.check)

const isReadonly = ({ annotations }: Tool.Any): boolean => Context.get(annotations, Tool.Readonly)

// Tools of the provider's own have no handler here.
const toolOf = <Tools extends Record<string, Tool.Any>>(
  { tools }: Toolkit.WithHandler<Tools>,
  name: string
): Tools[keyof Tools] | undefined => {
  const tool = Object.hasOwn(tools, name) ? tools[name as keyof Tools] : undefined
  return Tool.isProviderDefined(tool) && !tool.requiresHandler ? undefined : tool
}

const runUntilStopped = Effect.fnUntraced(function* <Tools extends Record<string, Tool.Any>>(
  runner: ToolRunner<Tools>,
  tool: Tools[keyof Tools],
  call: ToolCall,
  scope: Scope.Scope
) {
  const { watcher } = runner
  let began = false
  const work = Effect.flatMap(isStopped(runner, tool), (isLate) => {
    if (isLate) return Effect.undefined
    began = true
    return Effect.andThen(runner.teller.started(call, scope), handled(runner, call))
  })
  const result = Option.getOrUndefined(yield* watcher.runWithCancellation(work))
  if (result !== undefined) return finished(call, result)
  if (!began) return yield* stopped(watcher, call, "none")
  return yield* stopped(watcher, call, isReadonly(tool) ? "changesNothing" : "possible")
})

const runToItsEnd = Effect.fnUntraced(function* <Tools extends Record<string, Tool.Any>>(
  runner: ToolRunner<Tools>,
  tool: Tools[keyof Tools],
  call: ToolCall,
  answer: (answered: Answered) => Answered,
  scope: Scope.Scope
) {
  const { teller, watcher } = runner
  let began = false
  const answered = yield* Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(isStopped(runner, tool)), (isLate) => {
      if (isLate) return Effect.undefined
      began = true
      return Effect.andThen(teller.started(call, scope), handled(runner, call)).pipe(
        Effect.flatMap((result) =>
          Effect.map(watcher.isCancelled, (isLate) =>
            answer({ call, end: isLate ? "ranOn" : "finished", result })
          )
        )
      )
    })
  ).pipe(Effect.onInterrupt(() => (began ? logRanOn(call, "an interrupt") : Effect.void)))
  if (answered === undefined) return yield* stopped(watcher, call, "none")
  if (answered.end === "ranOn") yield* logRanOn(call, "the stop")
  return answered
})

const logRanOn = ({ id, name }: ToolCall, why: string) =>
  Effect.logInfo(`The tool ${name} (call ${id}) is uncancellable: it ran to its end through ${why}`)

const finished = (call: ToolCall, result: Prompt.ToolResultPart): Answered => ({
  call,
  end: "finished",
  result
})

const stopped = (
  watcher: CancellationWatcher["Service"],
  call: ToolCall,
  effect: Parameters<typeof stoppedResult>[2]
) =>
  Effect.map(watcher.cancellation, (event): Answered => ({
    call,
    end: effect === "none" ? "notStarted" : "interrupted",
    result: stoppedResult(call, event, effect)
  }))

const handled = <Tools extends Record<string, Tool.Any>>(
  { toolkit }: ToolRunner<Tools>,
  call: ToolCall
) => {
  const { id, name, params } = call
  const results = Stream.unwrap(
    unannotated(toolkit.handle(name, params as Tool.ParametersEncoded<Tools[string]>, id))
  )
  return Stream.runFold(
    results,
    (): Tool.HandlerResult<Tools[string]> | undefined => undefined,
    (last, result) => (result.preliminary ? last : result)
  ).pipe(
    Effect.map((last) =>
      last === undefined
        ? refusedResult(call, "execution-interrupted", `The tool ${name} ended without a result.`)
        : Prompt.toolResultPart({
            id,
            name,
            isFailure: last.isFailure,
            result: last.encodedResult,
            modelOutput: last.modelOutput,
            providerExecuted: false
          })
    )
  )
}

const isApproved = <Tools extends Record<string, Tool.Any>>(
  { approve }: ToolRunner<Tools>,
  tool: Tools[keyof Tools],
  call: ToolCall,
  messages: ReadonlyArray<Prompt.Message>
): Effect.Effect<boolean, never, Tool.HandlerServices<Tools[keyof Tools]>> =>
  Effect.flatMap(needsApproval(tool, call, messages), (isNeeded) =>
    isNeeded ? (approve?.(call, messages) ?? Effect.succeed(false)) : Effect.succeed(true)
  )

const needsApproval = <T extends Tool.Any>(
  { needsApproval: needs, parametersSchema }: T,
  { id, params }: ToolCall,
  messages: ReadonlyArray<Prompt.Message>
): Effect.Effect<boolean, never, Tool.HandlerServices<T>> => {
  if (typeof needs !== "function") return Effect.succeed(needs === true)
  // What a tool's schema needs is among what its handler needs, which `Tool.Any` has forgotten.
  const decoded = Schema.decodeUnknownEffect(parametersSchema)(params) as Effect.Effect<
    unknown,
    Schema.SchemaError,
    Tool.HandlerServices<T>
  >
  return Effect.flatMap(decoded, (known) => {
    const answer = needs(known, { toolCallId: id, messages })
    return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
  }).pipe(
    // Of parameters that cannot be read nobody knows what they would do.
    Effect.orElseSucceed(() => true)
  )
}
