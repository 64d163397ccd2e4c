/**
 * What the tests of the agent loop share: a run on a model with a script, tools that say when they
 * begin and end, a person who presses Stop, and what was logged.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { type Prompt, Tool, Toolkit } from "effect/ai"
import {
  MessageContent,
  MessageRepo,
  MessageStore,
  NewMessage,
  StopIntent,
  type StopReason,
  StopSignal,
  StopTarget
} from "effect-cancellation"
import { StoreFaults } from "effect-cancellation-testing"
import { ChatService, type ChatServiceOptions, Uncancellable } from "../src/index.ts"
import { ref, runId } from "./support/chat.ts"
import * as ScriptedModel from "./support/scriptedModel.ts"

const settings = {
  parameters: Schema.Struct({ text: Schema.optionalKey(Schema.String) }),
  success: Schema.String,
  failure: Schema.String
}

/** Changes the world. */
const Work = Tool.make("Work", settings)
/** Only reads. */
const Look = Tool.make("Look", settings).annotate(Tool.Readonly, true)
/** Runs to its end once it has begun. */
const Pay = Tool.make("Pay", settings).annotate(Uncancellable, true)
/** Tells the model of its failures. */
const Try = Tool.make("Try", { ...settings, failureMode: "return" })

export const toolkit = Toolkit.make(Work, Look, Pay, Try)

/** What the tools do. By default a call takes 100 ms and answers `did <id>`. */
export const makeBench = (
  act: (id: string, name: string) => Effect.Effect<string, string> = (id) =>
    Effect.as(Effect.sleep("100 millis"), `did ${id}`)
) => {
  const log: Array<string> = []
  const waiting = new Map<string, Deferred.Deferred<void>>()
  const told = (line: string) => {
    const known = waiting.get(line) ?? Deferred.makeUnsafe<void>()
    waiting.set(line, known)
    return known
  }
  const say = (line: string) =>
    Effect.suspend(() => {
      log.push(line)
      return Effect.asVoid(Deferred.succeed(told(line), undefined))
    })
  const handler =
    (name: string) =>
    (_: unknown, { toolCallId: id = "" }: { readonly toolCallId?: string | undefined }) =>
      Effect.andThen(say(`begin ${id}`), act(id, name)).pipe(
        Effect.tap(() => say(`end ${id}`)),
        Effect.onInterrupt(() => say(`cut ${id}`))
      )
  return {
    /** `begin <id>`, `end <id>` and `cut <id>`, in order. */
    log,
    say,
    /** Waits until a line is in the log. */
    until: (line: string) => Effect.suspend(() => Deferred.await(told(line))),
    layer: toolkit.toLayer({
      Work: handler("Work"),
      Look: handler("Look"),
      Pay: handler("Pay"),
      Try: handler("Try")
    })
  }
}

type Bench = ReturnType<typeof makeBench>

interface Stage {
  readonly bench?: Bench
  readonly chat?: Partial<ChatServiceOptions>
  readonly store?: Layer.Layer<MessageStore>
  readonly lines?: Array<string>
}

/** The run of a message, with its model and tools, and the repo it runs on. */
export const stage = (
  scripts: ReadonlyArray<ScriptedModel.Script>,
  { bench = makeBench(), chat = {}, lines = [], store }: Stage = {}
) =>
  ChatService.layer({ ref, runId, pollInterval: "1 hour", ...chat }).pipe(
    Layer.provideMerge(message),
    Layer.provideMerge(MessageRepo.layer()),
    Layer.provideMerge(
      Layer.merge(
        StoreFaults.layer(store ?? MessageStore.layerMemory()),
        MessageContent.layerMemory
      )
    ),
    Layer.provideMerge(
      Layer.mergeAll(
        StopSignal.layerMemory,
        bench.layer,
        ScriptedModel.layer(...scripts),
        Logger.layer([
          Logger.make(({ message: line }) => void lines.push([line].flat().map(String).join(" ")))
        ])
      )
    )
  )

const message = Layer.effectDiscard(
  Effect.flatMap(MessageContent, (content) =>
    content.create(NewMessage.make({ ref, role: "assistant", writer: runId }))
  )
)

/** A person presses Stop, or something else has the run stopped. */
export const pressStop = (reason: StopReason = "user") =>
  Effect.flatMap(MessageRepo, (repo) =>
    Effect.orDie(repo.requestStop(ref, StopIntent.make({ reason })))
  )

/** The same in another process, without a hint: only a look at the store finds it. */
export const stopElsewhere = Effect.flatMap(MessageStore, (store) =>
  Effect.orDie(
    store.requestStop(StopTarget.cases.Message.make({ ref }), StopIntent.make({ reason: "user" }))
  )
)

/** Lets every fiber go as far as it can while no time passes. */
export const settle = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, {
  discard: true
})

/** Lets time pass in small steps, each only when no fiber can go on without. */
export const pass = (millis: number, step = 50) =>
  Effect.forEach(
    Array.from({ length: millis / step }),
    () => Effect.andThen(settle, TestClock.adjust(step)),
    { discard: true }
  ).pipe(Effect.andThen(settle))

/** Runs an effect, lets the time pass that it needs, and answers how it ended. */
export const ended = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* pass(50)
    return yield* Fiber.await(fiber)
  })

/** What the results in a history say, by the id of their call. */
export const resultsIn = (
  messages: ReadonlyArray<Prompt.Message>
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    messages.flatMap((one) =>
      one.role === "tool"
        ? one.content.flatMap((part) =>
            part.type === "tool-result" ? [[part.id, part.result]] : []
          )
        : []
    )
  )

/** What the assistant said in a history. */
export const textsIn = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<string> =>
  messages.flatMap((one) =>
    one.role === "assistant"
      ? one.content.flatMap((part) => (part.type === "text" ? [part.text] : []))
      : []
  )

/** A call to a tool of the bench. */
export const call = (id: string, name = "Work"): ScriptedModel.Script =>
  ScriptedModel.calls(name, {}, id)

/** An answer that wishes for these calls. */
export const wishes = (...calls: ReadonlyArray<ScriptedModel.Script>): ScriptedModel.Script => [
  ...calls.flat(),
  ScriptedModel.ends("tool-calls")
]
