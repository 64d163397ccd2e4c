/**
 * Model, tools, model, until the model is done, the limit is reached or the run is stopped.
 *
 * A stop is seen in four places, each by the means that belongs there. Before a step, `check` asks the
 * store, and again before each tool that changes the world. The model's stream is cut, and tools are
 * interrupted, where they stand. Between two operations the flag is enough, since reading it costs
 * nothing.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Types from "effect/Types"
import {
  type AiError,
  type LanguageModel,
  Prompt,
  type Response,
  type Tool,
  Toolkit
} from "effect/ai"
import { type MessageContentError, Setting } from "effect-cancellation"
import { AgentEvent } from "./AgentEvent.ts"
import type { AgentResult, AgentWork, UnderWay } from "./AgentResult.ts"
import type { AssistantChange } from "./AssistantMessage.ts"
import * as ChatHistory from "./ChatHistory.ts"
import { ChatService } from "./ChatService.ts"
import type { Completion, StreamCompleteOptions, ToolCall } from "./Completion.ts"
import type { PartListener } from "./internal/streamComplete.ts"
import { makeTeller } from "./internal/telling.ts"
import {
  type Answered,
  cutOff,
  endedCall,
  notStarted,
  runCalls,
  tellEnded
} from "./internal/toolCalls.ts"
import { addUsage } from "./internal/usage.ts"
import { validAfter } from "./internal/validHistory.ts"

/**
 * What an agent is given.
 *
 * @category models
 * @since 0.1.0
 */
export interface AgentLoopOptions<Tools extends Record<string, Tool.Any>, E = never, R = never> {
  /** All that was said so far, and the question. */
  readonly prompt: Prompt.RawInput
  /**
   * The tools with their handlers. One annotated `Tool.Readonly` is begun without asking the store
   * for a stop first; one annotated `Uncancellable` runs to its end.
   */
  readonly toolkit?:
    | Toolkit.WithHandler<Tools>
    | Effect.Effect<Toolkit.WithHandler<Tools>, E, R>
    | undefined
  /**
   * Whether the model may, or must, use tools. Default `auto`. A must is one of the first step: a
   * model that must always use tools could never answer.
   */
  readonly toolChoice?:
    | LanguageModel.ToolChoice<{ [Name in keyof Tools]: Tools[Name]["name"] }[keyof Tools]>
    | undefined
  /** How often the model is asked at most. Default 10. */
  readonly maxIterations?: number | undefined
  /** How many tools of one answer run at a time. Default `unbounded`, as in effect/ai. */
  readonly concurrency?: Types.Concurrency | undefined
  /**
   * Asked for each call of a tool that needs approval. Without it such calls are refused, and the model
   * is told. A stop ends the waiting.
   */
  readonly approve?:
    | ((call: ToolCall, history: ReadonlyArray<Prompt.Message>) => Effect.Effect<boolean>)
    | undefined
  /**
   * What is to be stored of the turn: of the `messages` of the result those since the message began
   * that is written now, which `ChatHistory.encode` makes JSON of. Asked after each step, at a stop,
   * when the model or tools fail or are interrupted, and before tools begin: then each call has a result that says that it may have had an effect, which is what the
   * next turn hears if the process is killed meanwhile. Default: only the text is stored.
   */
  readonly save?: ((messages: ReadonlyArray<Prompt.Message>) => AssistantChange) | undefined
  /**
   * Told what happens while it happens. It is waited for, so let it be quick; but no tool waits to
   * begin, and a stop waits for it for one second at most.
   */
  readonly observe?: ((event: AgentEvent) => Effect.Effect<void>) | undefined
}

/**
 * Runs an agent into the message of its `ChatService`.
 *
 * It never sets `completedAt`: what follows the answer goes into `ChatService.complete`, and the end of
 * the run completes what nobody has completed. A tool that fails with the failure mode `error`, the
 * model, and a message that cannot be written any more fail the effect; a tool that there is not is
 * told to the model.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Tool, Toolkit } from "effect/ai"
 * import { AgentLoop, ChatService } from "effect-cancellation-chat"
 *
 * const Search = Tool.make("Search", {
 *   parameters: Schema.Struct({ words: Schema.String }),
 *   success: Schema.Array(Schema.String)
 * })
 *
 * const agent = Effect.gen(function* () {
 *   const chat = yield* ChatService
 *   const result = yield* AgentLoop.run({ prompt: "Who was first?", toolkit: Toolkit.make(Search) })
 *   if (result._tag === "Stopped") return
 *   yield* chat.complete(Effect.log(`Answered in ${result.iterations} steps`))
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const run: <Tools extends Record<string, Tool.Any> = {}, E = never, R = never>(
  options: AgentLoopOptions<Tools, E, R>
) => Effect.Effect<
  AgentResult,
  AiError.AiError | MessageContentError | Tool.HandlerError<Tools[keyof Tools]> | E,
  | ChatService
  | LanguageModel.LanguageModel
  | Tool.HandlerServices<Tools[keyof Tools]>
  | Tool.ParametersEncodingServices<Tools[keyof Tools]>
  | R
> = Effect.fn("AgentLoop.run")(function* <Tools extends Record<string, Tool.Any>, E, R>(
  options: AgentLoopOptions<Tools, E, R>
) {
  const maxIterations = yield* Setting.count("maxIterations", options.maxIterations ?? 10)
  const { approve, concurrency, observe } = options
  const chat = yield* ChatService
  const watcher = chat.cancellation
  const toolkit = yield* withHandlers(options.toolkit)
  const runner = { watcher, toolkit, concurrency, approve, teller: makeTeller(watcher, observe) }

  // Valid also because effect/ai would run what is approved in it by itself, whatever the stop says.
  const asked = ChatHistory.valid(Prompt.make(options.prompt).content)
  let done: ReadonlyArray<Prompt.Message> = []
  // What the model has said and is to go on with, as it said it.
  let open: ReadonlyArray<Prompt.Message> = []
  // The message that `recorded` messages were stored with, from `since` on.
  let { messageId } = (yield* watcher.run).ref
  let since = 0
  let recorded = 0
  let work: AgentWork = { text: "", messages: [], usage: undefined, iterations: 0 }

  const history = () => [
    ...asked,
    ...done,
    ...validAfter([...asked, ...done], open, { goesOn: true })
  ]
  const record = Effect.fnUntraced(function* (answers: ReadonlyArray<Answered>) {
    const results = Prompt.makeMessage("tool", { content: answers.map(({ result }) => result) })
    const messages = [...done, ...validAfter([...asked, ...done], [...open, results])]
    work = { ...work, messages }
    const { ref } = yield* watcher.run
    // What an earlier message of the turn holds would be in the next history twice.
    if (ref.messageId !== messageId) since = recorded
    messageId = ref.messageId
    recorded = messages.length
    yield* chat.saveAssistantMessage(options.save?.(messages.slice(since)) ?? {})
  })
  const tell = (answers: ReadonlyArray<Answered>) =>
    Effect.forEach(answers, (answered) => tellEnded(runner, answered), { discard: true })
  // Each way records what it answers, once it is known.
  const answered = Effect.fnUntraced(function* (
    { finishReason = "unknown", toolCalls }: Completion,
    before: ReadonlyArray<Prompt.Message>
  ) {
    if (toolCalls.length === 0) {
      yield* record([])
      return []
    }
    if (brokenOff.has(finishReason)) {
      yield* Effect.logWarning(
        `${toolCalls.length} tool calls were not begun: the answer broke off (${finishReason})`
      )
      const answers = toolCalls.map((call) => cutOff(call, finishReason))
      yield* record(answers)
      yield* tell(answers)
      return answers
    }
    // Before they begin: a process that is killed now must not have paid without knowing.
    yield* record([])
    const answers = yield* runCalls(runner, toolCalls, before, (broken) =>
      Effect.ignore(record(broken))
    )
    yield* record(answers)
    return answers
  })
  // The person has seen these words, so the next turn is to know them.
  const keep = (parts: ReadonlyArray<Response.AnyPart>, cause: Cause.Cause<unknown>) =>
    Effect.suspend(() => {
      const said = Prompt.fromResponseParts(parts).content
      if (said.length === 0) return Effect.void
      open = [...open, ...said]
      const why = Cause.hasInterruptsOnly(cause) ? "interrupted" : "error"
      return record(callsIn(parts).map((call) => cutOff(call, why)))
    }).pipe(
      Effect.ignoreCause({
        log: "Warn",
        message: "What a model said before it failed is not stored"
      })
    )
  const stopped = (underWay: UnderWay) =>
    Effect.map(watcher.cancellation, (event): AgentResult => ({
      _tag: "Stopped",
      ...work,
      event,
      stoppedByUser: event.request.reason === "user",
      underWay
    }))

  while (work.iterations < maxIterations) {
    if (yield* watcher.check) return yield* stopped({ _tag: "Nothing" })

    const before = history()
    const parts: Array<Response.AnyPart> = []
    const question: StreamCompleteOptions<Tools> & PartListener = {
      prompt: Prompt.fromMessages(before),
      toolkit,
      toolChoice: work.iterations === 0 ? options.toolChoice : unforced(options.toolChoice),
      onPart: (part) => void parts.push(part),
      onText: observe && withDelta(observe, (yield* chat.text).length, parts)
    }
    const said = yield* Effect.onError(chat.streamComplete(question), (cause) => keep(parts, cause))
    open = [...open, ...Prompt.fromResponseParts(said.parts).content]
    work = {
      text: [work.text, said.text].filter((text) => text !== "").join("\n\n"),
      messages: work.messages,
      usage: addUsage(work.usage, said.usage),
      iterations: work.iterations + 1
    }
    if (said.cancellation !== undefined) {
      const answers = yield* notStarted(watcher, said.toolCalls)
      yield* record(answers)
      yield* tell(answers)
      return yield* stopped({ _tag: "Model" })
    }

    const answers = yield* answered(said, before)
    if (said.finishReason !== "pause" || answers.length > 0) {
      done = work.messages
      open = []
    }
    if (yield* watcher.isCancelled) {
      return yield* stopped(
        answers.every(({ end }) => end === "finished")
          ? { _tag: "Nothing" }
          : { _tag: "Tools", calls: answers.map(endedCall) }
      )
    }
    if (answers.length === 0 && said.finishReason !== "pause") {
      return { _tag: "Completed", ...work, finishReason: said.finishReason }
    }
  }
  return { _tag: "LimitReached", ...work }
})

const withHandlers = <Tools extends Record<string, Tool.Any>, E, R>(
  toolkit: AgentLoopOptions<Tools, E, R>["toolkit"]
): Effect.Effect<Toolkit.WithHandler<Tools>, E, R> => {
  if (Effect.isEffect(toolkit)) return toolkit
  return toolkit === undefined
    ? (Toolkit.empty as unknown as Effect.Effect<Toolkit.WithHandler<Tools>>)
    : Effect.succeed(toolkit)
}

// What a provider means by `other` may be a whole answer.
const brokenOff: ReadonlySet<Response.FinishReason> = new Set([
  "length",
  "content-filter",
  "error",
  "unknown"
])

const callsIn = (parts: ReadonlyArray<Response.AnyPart>): ReadonlyArray<ToolCall> =>
  parts.flatMap((part) =>
    part.type === "tool-call" && !part.providerExecuted
      ? [{ id: part.id, name: part.name, params: part.params }]
      : []
  )

// Of the text only its length is looked at, save where more than the last part was added: an empty
// line between two steps, or the words of somebody else.
const withDelta = (
  observe: (event: AgentEvent) => Effect.Effect<void>,
  shown: number,
  parts: ReadonlyArray<Response.AnyPart>
) => {
  let length = shown
  return (text: string) => {
    const last = parts.at(-1)
    const spoken = last?.type === "text-delta" ? last.delta : ""
    const delta = text.length === length + spoken.length ? spoken : text.slice(length)
    length = text.length
    return observe(AgentEvent.Text({ text, delta }))
  }
}

const unforced = <Name extends string>(
  choice: LanguageModel.ToolChoice<Name> | undefined
): LanguageModel.ToolChoice<Name> | undefined => {
  if (choice === undefined || choice === "none") return choice
  return typeof choice === "object" && "oneOf" in choice
    ? { mode: "auto", oneOf: choice.oneOf }
    : "auto"
}
