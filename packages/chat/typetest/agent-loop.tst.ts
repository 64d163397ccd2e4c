/**
 * What the types of the agent loop promise: failures are those of the toolkit, results are three.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type AiError, type LanguageModel, type Prompt, Tool, Toolkit } from "effect/ai"
import type { CancellationEvent, MessageContentError } from "effect-cancellation"
import { describe, expect, it } from "tstyche"
import {
  AgentLoop,
  type AgentResult,
  ChatHistory,
  type ChatService,
  Uncancellable
} from "../src/index.ts"

declare const result: AgentResult
interface Bank {
  readonly _: unique symbol
}
declare const bank: Context.Key<Bank, { readonly name: string }>

class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", {}) {}

const Search = Tool.make("Search", {
  parameters: Schema.Struct({ words: Schema.String }),
  success: Schema.Array(Schema.String)
}).annotate(Tool.Readonly, true)
const Pay = Tool.make("Pay", { failure: NoMoney, dependencies: [bank] }).annotate(
  Uncancellable,
  true
)
const Ask = Tool.make("Ask", { failure: NoMoney, failureMode: "return" })

describe("AgentLoop.run", () => {
  const prompt = "Do it."

  it("without tools needs a service and a model, and fails as they do", () => {
    expect(AgentLoop.run({ prompt })).type.toBe<
      Effect.Effect<
        AgentResult,
        AiError.AiError | MessageContentError,
        ChatService | LanguageModel.LanguageModel
      >
    >()
  })

  it("needs the handlers of its tools", () => {
    const loop = AgentLoop.run({ prompt, toolkit: Toolkit.make(Search) })
    expect<Effect.Services<typeof loop>>().type.toBe<
      | ChatService
      | LanguageModel.LanguageModel
      | Tool.HandlersFor<{ readonly Search: typeof Search }>
    >()
    expect<Effect.Error<typeof loop>>().type.toBe<AiError.AiError | MessageContentError>()
  })

  it("fails as the tools do whose failure mode is error, and needs what they need", () => {
    const loop = AgentLoop.run({ prompt, toolkit: Toolkit.make(Search, Pay, Ask) })
    expect<Effect.Error<typeof loop>>().type.toBe<AiError.AiError | MessageContentError | NoMoney>()
    expect<Bank>().type.toBeAssignableTo<Effect.Services<typeof loop>>()
  })

  it("does not fail as the tools do whose failures are told to the model", () => {
    const loop = AgentLoop.run({ prompt, toolkit: Toolkit.make(Ask) })
    expect<Effect.Error<typeof loop>>().type.toBe<AiError.AiError | MessageContentError>()
  })

  it("takes a toolkit that has its handlers, or an effect that makes one", () => {
    class NoToolkit extends Schema.TaggedError<NoToolkit>()("NoToolkit", {}) {}
    type Tools = { readonly Search: typeof Search }
    const made = null as unknown as Toolkit.WithHandler<Tools>
    const maker = null as unknown as Effect.Effect<Toolkit.WithHandler<Tools>, NoToolkit, Bank>
    const loop = AgentLoop.run({ prompt, toolkit: made })
    expect<Effect.Services<typeof loop>>().type.toBe<ChatService | LanguageModel.LanguageModel>()
    const lazy = AgentLoop.run({ prompt, toolkit: maker })
    expect<Effect.Error<typeof lazy>>().type.toBe<
      AiError.AiError | MessageContentError | NoToolkit
    >()
    expect<Effect.Services<typeof lazy>>().type.toBe<
      ChatService | LanguageModel.LanguageModel | Bank
    >()
  })

  it("forces only tools that there are", () => {
    const toolkit = Toolkit.make(Search)
    expect(AgentLoop.run).type.toBeCallableWith({ prompt, toolkit, toolChoice: { tool: "Search" } })
    expect(AgentLoop.run).type.not.toBeCallableWith({
      prompt,
      toolkit,
      toolChoice: { tool: "Serach" }
    })
  })

  it("lets neither an approval nor an observer fail", () => {
    expect(AgentLoop.run).type.toBeCallableWith({ prompt, approve: () => Effect.succeed(true) })
    expect(AgentLoop.run).type.not.toBeCallableWith({ prompt, approve: () => Effect.fail("no") })
    expect(AgentLoop.run).type.not.toBeCallableWith({ prompt, observe: () => Effect.fail("no") })
    expect(AgentLoop.run).type.not.toBeCallableWith({ prompt, observe: () => bank })
  })
})

describe("the result", () => {
  it("is one of three", () => {
    expect<AgentResult["_tag"]>().type.toBe<"Completed" | "Stopped" | "LimitReached">()
  })

  it("has the partial work whatever it is", () => {
    expect(result.text).type.toBe<string>()
    expect(result.messages).type.toBe<ReadonlyArray<Prompt.Message>>()
    expect(result.iterations).type.toBe<number>()
  })

  it("has the event and what was under way only when it is stopped", () => {
    expect(result).type.not.toHaveProperty("event")
    if (result._tag === "Stopped") {
      expect(result.event).type.toBe<CancellationEvent>()
      expect(result.underWay._tag).type.toBe<"Nothing" | "Model" | "Tools">()
      if (result.underWay._tag === "Tools") {
        expect(result.underWay.calls[0]?.end).type.toBe<
          "finished" | "interrupted" | "notStarted" | "ranOn" | undefined
        >()
      }
    }
  })
})

describe("a history", () => {
  it("is encoded to JSON and decoded with a typed failure", () => {
    expect(ChatHistory.encode([])).type.toBe<Schema.Json>()
    expect(ChatHistory.decode({})).type.toBe<
      Effect.Effect<ReadonlyArray<Prompt.Message>, Schema.SchemaError>
    >()
    expect(ChatHistory.fromMessages([])).type.toBe<Effect.Effect<Prompt.Prompt>>()
  })
})
