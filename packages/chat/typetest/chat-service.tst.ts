/**
 * What a run that writes a message needs, and what its operations answer, fail with and need.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type AiError, type LanguageModel, Tool, Toolkit } from "effect/ai"
import type {
  CancellationEvent,
  CancellationWatcher,
  Message,
  MessageContent,
  MessageContentError,
  MessageId,
  MessageRef,
  MessageRepo
} from "effect-cancellation"
import { describe, expect, it } from "tstyche"
import type { AlreadyStopped } from "../src/AlreadyStopped.ts"
import { ChatService, type ChatServiceOptions, type WritingOptions } from "../src/ChatService.ts"
import type { Completion } from "../src/Completion.ts"

declare const ref: MessageRef
declare const messageId: MessageId
declare const chat: ChatService["Service"]
declare class Mail extends Context.Service<Mail, { readonly send: () => void }>()("test/Mail") {}
declare class MailError {
  readonly _tag: "MailError"
}

describe("the layers of ChatService", () => {
  it("make a run with its watcher from a repo and texts", () => {
    expect(ChatService.layer({ ref })).type.toBe<
      Layer.Layer<ChatService | CancellationWatcher, never, MessageRepo | MessageContent>
    >()
  })

  it("need nothing but texts for a run that is watched", () => {
    expect(ChatService.layerWatched()).type.toBe<
      Layer.Layer<ChatService, never, CancellationWatcher | MessageContent>
    >()
  })

  it("take times, and a message that must be named", () => {
    expect(ChatService.layer).type.not.toBeCallableWith({})
    expect<WritingOptions>().type.toBeAssignableFrom<{
      saveInterval: "1 second"
      writeTimeout: number
      finalWriteTimeout: undefined
      deadline: "1 hour"
    }>()
    expect<ChatServiceOptions>().type.not.toBeAssignableFrom<{
      ref: MessageRef
      deadline: "soon"
    }>()
  })
})

describe("writing", () => {
  it("answers the message, and fails with the reason only", () => {
    expect(chat.modifyAssistantMessage({ text: "x" })).type.toBe<
      Effect.Effect<Message, MessageContentError>
    >()
    expect(chat.saveAssistantMessage({ setStoppedStreamingAt: true })).type.toBe<
      Effect.Effect<void, MessageContentError>
    >()
    expect(chat.text).type.toBe<Effect.Effect<string>>()
  })

  it("takes fields that are undefined, and no times of the caller's", () => {
    expect(chat.modifyAssistantMessage).type.toBeCallableWith({ text: undefined, references: null })
    expect(chat.modifyAssistantMessage).type.not.toBeCallableWith({ completedAt: 1 })
    expect(chat.modifyAssistantMessage).type.not.toBeCallableWith({ reopen: true })
    expect(chat.modifyAssistantMessage).type.not.toBeCallableWith({ debugInfo: () => 1 })
  })

  it("makes messages, which a stop refuses", () => {
    expect(chat.createAssistantMessage()).type.toBe<
      Effect.Effect<Message, MessageContentError | AlreadyStopped>
    >()
    expect(chat.createAssistantMessage).type.toBeCallableWith({ messageId, text: "x" })
    expect(chat.createAssistantMessage).type.not.toBeCallableWith({ messageId: "plain" })
    expect(chat.createAssistantMessage).type.not.toBeCallableWith({ setCompletedAt: true })
  })
})

describe("streamComplete", () => {
  const Look = Tool.make("Look", {
    parameters: Schema.Struct({ at: Schema.String }),
    success: Schema.String
  })
  const Find = Tool.make("Find", { success: Schema.String })

  it("needs a model, and no handler of a tool", () => {
    expect(chat.streamComplete({ prompt: "x" })).type.toBe<
      Effect.Effect<Completion, AiError.AiError | MessageContentError, LanguageModel.LanguageModel>
    >()
    expect(chat.streamComplete({ prompt: "x", toolkit: Toolkit.make(Look, Find) })).type.toBe<
      Effect.Effect<Completion, AiError.AiError | MessageContentError, LanguageModel.LanguageModel>
    >()
  })

  it("lets the model choose among the tools that there are", () => {
    const toolkit = Toolkit.make(Look, Find)
    expect(chat.streamComplete).type.toBeCallableWith({
      prompt: "x",
      toolkit,
      toolChoice: { tool: "Look" } as const
    })
    expect(chat.streamComplete).type.not.toBeCallableWith({
      prompt: "x",
      toolkit,
      toolChoice: { tool: "Nothing" } as const
    })
  })

  it("says why it was cut short, if it was", () => {
    expect<Completion["cancellation"]>().type.toBe<CancellationEvent | undefined>()
    expect<Completion["stoppedByUser"]>().type.toBe<boolean>()
  })
})

describe("complete", () => {
  it("passes value, errors and needs through, and may answer nothing", () => {
    const post = {} as Effect.Effect<7, MailError, Mail>
    expect(chat.complete(post)).type.toBe<
      Effect.Effect<Option.Option<7>, MailError | MessageContentError, Mail>
    >()
    expect(chat.complete({} as Effect.Effect<void>)).type.toBe<
      Effect.Effect<Option.Option<void>, MessageContentError>
    >()
  })
})
