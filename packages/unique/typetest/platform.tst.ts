/**
 * What the platform's layers need and give, and what an event is read from and carries.
 */
import type * as Config from "effect/Config"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { HttpClient, HttpServerRequest } from "effect/http"
import type { ChatId, MessageContent, MessageRef, MessageStore, RunId } from "effect-cancellation"
import { describe, expect, it } from "tstyche"
import { UniqueChatEvent } from "../src/UniqueChatEvent.ts"
import type { UniqueError } from "../src/UniqueError.ts"
import { UniquePlatform, type UniquePlatformSettings } from "../src/UniquePlatform.ts"
import type { UniqueWebhookError } from "../src/UniqueWebhookError.ts"

const secret = Redacted.make("secret")
declare const chatId: ChatId
declare const event: UniqueChatEvent
declare const platform: UniquePlatform["Service"]
declare const web: Request
declare const served: HttpServerRequest.HttpServerRequest

type Ports = UniquePlatform | MessageStore | MessageContent

describe("the layers of UniquePlatform", () => {
  it("give all ports by a client of HTTP, and cannot fail", () => {
    expect(UniquePlatform.layer({ apiKey: secret, appId: secret })).type.toBe<
      Layer.Layer<Ports, never, HttpClient.HttpClient>
    >()
  })

  it("fail by the environment where it is read", () => {
    expect(UniquePlatform.layerConfig()).type.toBe<
      Layer.Layer<Ports, Config.ConfigError, HttpClient.HttpClient>
    >()
  })

  it("take secrets that cannot be shown, and times", () => {
    expect(UniquePlatform.layer).type.not.toBeCallableWith({ apiKey: "key", appId: secret })
    expect(UniquePlatform.layer).type.not.toBeCallableWith({ apiKey: secret })
    expect<UniquePlatformSettings>().type.toBeAssignableFrom<{
      assistantId: undefined
      pollTimeout: "4 seconds"
      writeTimeout: number
      concurrency: 8
    }>()
    expect<UniquePlatformSettings>().type.not.toBeAssignableFrom<{ writeTimeout: "soon" }>()
  })
})

describe("a turn", () => {
  it("is interrupted by the chat and the person's message, and fails as the platform does", () => {
    expect(platform.interruptTurn({ chatId, userMessageId: "msg_1" })).type.toBe<
      Effect.Effect<void, UniqueError>
    >()
    expect(platform.interruptTurn).type.not.toBeCallableWith({ chatId })
    expect(platform.interruptTurn).type.toBeCallableWith({
      chatId,
      userMessageId: event.payload.userMessage.id
    })
  })

  it("has texts by its assistant and a message of it", () => {
    expect(platform.contentOf({ assistantId: "a", messageId: "m" })).type.toBe<
      MessageContent["Service"]
    >()
    expect(platform.contentOf).type.not.toBeCallableWith({ messageId: "m" })
  })
})

describe("an event", () => {
  it("is read from a request of the web or of Effect, without anything else", () => {
    for (const request of [web, served]) {
      expect(UniqueChatEvent.fromWebhook(request, { secret })).type.toBe<
        Effect.Effect<UniqueChatEvent, UniqueWebhookError>
      >()
    }
    expect(UniqueChatEvent.fromWebhook).type.not.toBeCallableWith(web, { secret: "secret" })
    expect(UniqueChatEvent.fromWebhook).type.not.toBeCallableWith(web)
    expect(UniqueChatEvent.fromWebhook).type.not.toBeCallableWith("{}", { secret })
  })

  it("has a ref, an attempt, and texts on the platform", () => {
    expect(event.ref).type.toBe<MessageRef>()
    expect(event.runId).type.toBe<RunId>()
    expect(event.content).type.toBe<Layer.Layer<MessageContent, never, UniquePlatform>>()
  })
})
