/**
 * The event that an agent is started with, as the platform delivers it to a webhook.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import {
  ChatId,
  CompanyId,
  MessageContent,
  MessageId,
  MessageRef,
  RunId,
  UserId
} from "effect-cancellation"
import { signedBody } from "./internal/webhook.ts"
import { maybe, wrongFields } from "./internal/wire.ts"
import { UniquePlatform } from "./UniquePlatform.ts"
import { UniqueWebhookError } from "./UniqueWebhookError.ts"

/**
 * What the person said, and where the answer goes. Fields that have no name here are kept as they are.
 *
 * @category models
 * @since 0.1.0
 */
export const UniqueChatPayload = Schema.StructWithRest(
  Schema.Struct({
    /** Of the module that was chosen. */
    name: maybe(Schema.String),
    description: maybe(Schema.String),
    chatId: ChatId,
    assistantId: Schema.NonEmptyString,
    configuration: maybe(Schema.Json),
    userMessage: Schema.Struct({
      id: MessageId,
      text: maybe(Schema.String),
      originalText: maybe(Schema.String),
      createdAt: maybe(Schema.String),
      language: maybe(Schema.String)
    }),
    /** The message that the agent is to write: the platform has made it. */
    assistantMessage: Schema.Struct({
      id: MessageId,
      createdAt: maybe(Schema.String)
    }),
    text: maybe(Schema.String),
    additionalParameters: maybe(Schema.Json),
    correlation: maybe(Schema.Json)
  }),
  [Schema.Record(Schema.String, Schema.Json)]
)
/** A value of {@link UniqueChatPayload}. @category models @since 0.1.0 */
export type UniqueChatPayload = typeof UniqueChatPayload.Type

/**
 * A person's message is to be answered by this agent.
 *
 * ```ts
 * import { Effect, type Redacted } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { ChatService } from "effect-cancellation-chat"
 * import { UniqueChatEvent, type UniquePlatform } from "effect-cancellation-unique"
 *
 * const agent = Effect.fn("agent")(function* (event: UniqueChatEvent) {
 *   const chat = yield* ChatService
 *   yield* chat.modifyAssistantMessage({ text: `You said: ${event.payload.userMessage.text}` })
 * })
 *
 * const answer = Effect.fn("answer")(function* (request: Request, secret: Redacted.Redacted) {
 *   const event = yield* UniqueChatEvent.fromWebhook(request, { secret })
 *   const { content, ref, runId } = event
 *   yield* agent(event).pipe(
 *     Effect.provide(ChatService.layer({ ref, runId })),
 *     Effect.provide(content)
 *   )
 * })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class UniqueChatEvent extends Schema.Class<UniqueChatEvent>(
  "effect-cancellation-unique/UniqueChatEvent"
)({
  /** The same when it is delivered again. */
  id: RunId,
  event: Schema.Literal("unique.chat.external-module.chosen"),
  userId: UserId,
  companyId: CompanyId,
  createdAt: Schema.optionalKey(Schema.Unknown),
  version: Schema.optionalKey(Schema.Unknown),
  payload: UniqueChatPayload
}) {
  /**
   * Reads the event of a webhook's request, a `Request` of the web or Effect's, if it is the
   * platform's: signed with the secret (HMAC-SHA256 of the body, in `X-Unique-Signature`), and sent
   * within 300 seconds of this clock (`X-Unique-Created-At`). Signature and age are both looked at
   * before either is told of, and the signature in constant time.
   *
   * The time is not part of what is signed: who has recorded a request can send it again with another
   * time. The event has the same `runId` then. Fails with {@link UniqueWebhookError}, which never
   * holds the body. A secret that is empty, or a `maxBytes` that is no number above zero, is a defect:
   * `InvalidSetting`.
   */
  static readonly fromWebhook = (
    request: Request | HttpServerRequest.HttpServerRequest,
    options: {
      readonly secret: Redacted.Redacted
      /** Most bytes of a body. Default 1 MiB. */
      readonly maxBytes?: number | undefined
    }
  ): Effect.Effect<UniqueChatEvent, UniqueWebhookError> =>
    Effect.flatMap(signedBody(request, options), eventOf).pipe(
      // Hidden from tracers that show what was answered: it is what somebody said.
      Effect.map((event) => () => event),
      Effect.withSpan("UniqueChatEvent.fromWebhook"),
      Effect.map((event) => event())
    )

  /** The message to write. */
  get ref(): MessageRef {
    const { companyId, payload, userId } = this
    const { assistantMessage, chatId } = payload
    return MessageRef.make({ companyId, userId, chatId, messageId: assistantMessage.id })
  }

  /** The attempt to write it: an event that is delivered again is the same one. */
  get runId(): RunId {
    return this.id
  }

  /** The texts of this turn: new messages are its next segments, by the event's assistant. */
  get content(): Layer.Layer<MessageContent, never, UniquePlatform> {
    const { assistantId, assistantMessage } = this.payload
    return Layer.effect(
      MessageContent,
      Effect.map(UniquePlatform, ({ contentOf }) =>
        contentOf({ assistantId, messageId: assistantMessage.id })
      )
    )
  }
}

const eventOf = Effect.fnUntraced(function* (
  text: string
): Effect.fn.Return<UniqueChatEvent, UniqueWebhookError> {
  const { event } = yield* Effect.mapError(decodeKind(text), () =>
    malformed("the body is no JSON object with an event")
  )
  if (event !== UniqueChatEvent.fields.event.literal) {
    return yield* new UniqueWebhookError({
      reason: "OtherEvent",
      detail: `Not an event that starts an agent, but ${isName.test(event) ? event : "of another kind"}`
    })
  }
  return yield* Effect.mapError(decodeEvent(text), (error) =>
    malformed(`these fields are missing or wrong: ${wrongFields(error)}`)
  )
})

// What else it may be does not belong into a log.
const isName = /^[\w.-]{1,100}$/

const decodeKind = Schema.decodeEffect(
  Schema.fromJsonString(Schema.Struct({ event: Schema.String }))
)
const decodeEvent = Schema.decodeEffect(Schema.fromJsonString(UniqueChatEvent))

const malformed = (what: string) =>
  new UniqueWebhookError({ reason: "Malformed", detail: `Not a chat event: ${what}` })
