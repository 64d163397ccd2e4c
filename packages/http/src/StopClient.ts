/**
 * The Stop API as a client of Effect, for programs; a page takes `browser`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Sse from "effect/encoding/Sse"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ChatId, MessageId, RunId } from "effect-cancellation"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import type * as Problem from "./Problem.ts"
import { type Receipt, type StopChatBody, StopHttpApi, type StopMessageBody } from "./StopApi.ts"

/**
 * Where the Stop API is.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopClientOptions {
  /** What stands before `/chats`, such as `https://chat.example.com/api`. */
  readonly baseUrl: URL | string
  /** What else a request needs: who sends it, time-outs, repetitions. */
  readonly transformClient?: ((client: HttpClient.HttpClient) => HttpClient.HttpClient) | undefined
}

/**
 * Which message is looked at; without `runId` its current run is meant.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageTarget {
  readonly chatId: ChatId
  readonly messageId: MessageId
  readonly runId?: RunId | undefined
}

/**
 * Why there is no receipt: the server refused (the module `Problem`), nobody answered
 * (`HttpClientError`), or what answered is no Stop API (`SchemaError`).
 *
 * @category errors
 * @since 0.1.0
 */
export type StopClientError =
  | Problem.InvalidRequest
  | Problem.Unauthenticated
  | Problem.Forbidden
  | Problem.NotFound
  | Problem.CrossSite
  | Problem.TooLarge
  | Problem.TooSlow
  | Problem.UnsupportedMediaType
  | Problem.InternalError
  | Problem.NotSupported
  | Problem.Unavailable
  | HttpClientError.HttpClientError
  | Schema.SchemaError

/**
 * The four routes. Nothing is tried again by itself: asking twice is asking once, so `Effect.retry`
 * is right for every stop, best with a `runId`, so that no newer run can be reached.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ChatId, MessageId } from "effect-cancellation"
 * import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
 * import { StopClient } from "effect-cancellation-http/StopClient"
 *
 * const program = Effect.gen(function* () {
 *   const stops = yield* StopClient
 *   const receipt = yield* stops.stopMessage({
 *     chatId: ChatId.make("chat-1"),
 *     messageId: MessageId.make("message-7"),
 *     wait: "ended"
 *   })
 *   yield* Effect.log(receipt.phase)
 * }).pipe(Effect.catchTag("Forbidden", () => Effect.logWarning("Somebody else's message")))
 *
 * const Stops = StopClient.layer({
 *   baseUrl: "https://chat.example.com/api",
 *   transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken("secret"))
 * }).pipe(Layer.provide(FetchHttpClient.layer))
 *
 * const runnable = Effect.provide(program, Stops)
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class StopClient extends Context.Service<
  StopClient,
  {
    /** Stops a message; the receipt now, or when the phase to `wait` for has come, or after 25 s. */
    readonly stopMessage: (
      options: MessageTarget & Omit<StopMessageBody, "runId">
    ) => Effect.Effect<Receipt, StopClientError | Problem.RateLimited>
    /** Stops whatever runs in a chat: a receipt for each message. */
    readonly stopChat: (
      options: Pick<MessageTarget, "chatId"> & StopChatBody
    ) => Effect.Effect<ReadonlyArray<Receipt>, StopClientError | Problem.RateLimited>
    /** The receipt now. */
    readonly receipt: (target: MessageTarget) => Effect.Effect<Receipt, StopClientError>
    /**
     * The receipt now and at each phase. Ends after a final one, or when the server ends it: it says
     * so by `Retry`, if it wants to be asked again.
     */
    readonly events: (
      target: MessageTarget
    ) => Stream.Stream<Receipt, StopClientError | Sse.Retry | Sse.SseError>
  }
>()("effect-cancellation-http/StopClient") {
  /** A client of the server at `baseUrl`. */
  static readonly layer = (
    options: StopClientOptions
  ): Layer.Layer<StopClient, never, HttpClient.HttpClient> =>
    Layer.effect(
      this,
      Effect.map(HttpApiClient.make(StopHttpApi, options), ({ stop }) => ({
        stopMessage: ({ chatId, messageId, runId, ...body }) =>
          stop.stopMessage({
            params: { chatId, messageId },
            payload: runId === undefined ? body : { ...body, runId }
          }),
        stopChat: ({ chatId, ...payload }) =>
          Effect.map(stop.stopChat({ params: { chatId }, payload }), ({ receipts }) => receipts),
        receipt: (target) => stop.receipt(requestOf(target)),
        events: (target) => Stream.unwrap(stop.events(requestOf(target)))
      }))
    )
}

const requestOf = ({ chatId, messageId, runId }: MessageTarget) => ({
  params: { chatId, messageId },
  query: runId === undefined ? {} : { runId }
})
