/**
 * A `LanguageModel` for any server that speaks the chat-completions protocol, made from one function
 * of whatever client the program has. An interrupt closes the request at once.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import { bodyOf } from "./internal/chatCompletionsBody.ts"
import { makeChunkReader } from "./internal/chatCompletionsChunks.ts"
import { refuseThrown, refuseWith } from "./internal/chatCompletionsError.ts"
import { messagesOf } from "./internal/chatCompletionsMessages.ts"
import type {
  ChatCompletionsBody,
  ChatCompletionsMessage
} from "./internal/chatCompletionsProtocol.ts"
import { chunksOf } from "./internal/chatCompletionsRequest.ts"

export type {
  ChatCompletionsAssistantMessage,
  ChatCompletionsBody,
  ChatCompletionsImage,
  ChatCompletionsMessage,
  ChatCompletionsText,
  ChatCompletionsTool,
  ChatCompletionsToolCall
} from "./internal/chatCompletionsProtocol.ts"

/**
 * What a model is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatCompletionsModelOptions {
  /** The model's name, as the server knows it. */
  readonly model: string
  /**
   * Makes the request and answers its chunks as they come; `stream` is the caller's to set. It must
   * hand the signal on: it is aborted as soon as nobody wants the rest.
   */
  readonly create: (
    body: ChatCompletionsBody,
    options: { readonly signal: AbortSignal }
  ) => PromiseLike<AsyncIterable<unknown>>
  /** What else every request says, such as `temperature`. Default: nothing. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Makes the model.
 *
 * An interrupt, at whatever moment, aborts the signal in the same step: while the request is made,
 * between two chunks, and while the reader of the stream is busy with what it has. What the client
 * throws becomes an `AiError` by its `status`, without the client's headers or keys; an answer that
 * is not of the protocol is an `InvalidOutputError`, one that breaks off before the model has
 * finished an `InternalProviderError`. No tool call is passed on before the model has finished.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: ChatCompletionsModelOptions
): Effect.Effect<LanguageModel.LanguageModel> =>
  LanguageModel.make({
    streamText: (request) => partsOf(options, request, "streamText"),
    generateText: (request) =>
      Effect.map(Stream.runCollect(partsOf(options, request, "generateText")), joined)
  })

/**
 * The model as a layer.
 *
 * ```ts
 * import { ChatCompletionsModel } from "effect-cancellation-chat"
 * import OpenAI from "openai"
 *
 * const openai = new OpenAI()
 *
 * const Model = ChatCompletionsModel.layer({
 *   model: "gpt-5-mini",
 *   create: (body, { signal }) =>
 *     openai.chat.completions.create(
 *       { ...body, stream: true, stream_options: { include_usage: true } },
 *       { signal }
 *     )
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: ChatCompletionsModelOptions
): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effect(LanguageModel.LanguageModel, make(options))

/**
 * A prompt as the messages of a request. Fails for what the protocol has no words for: files that
 * are no images, and values that are no JSON.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toMessages = (
  prompt: Prompt.Prompt
): Result.Result<Array<ChatCompletionsMessage>, AiError.AiError> =>
  Result.mapError(messagesOf(prompt), (reason) => refuseWith("toMessages", reason))

const partsOf = (
  options: ChatCompletionsModelOptions,
  request: LanguageModel.ProviderOptions,
  method: string
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> =>
  Stream.suspend(() => {
    const body = bodyOf(options.model, options.extra, request)
    if (Result.isFailure(body)) return Stream.fail(refuseWith(method, body.failure))
    const reader = makeChunkReader()
    return chunksOf(
      (signal) => options.create(body.success, { signal }),
      refuseThrown(method)
    ).pipe(
      // The answer is whole by then; at most its count of tokens is lost.
      Stream.catch((error) => (reader.finished() ? Stream.empty : Stream.fail(error))),
      Stream.mapEffect((chunk) => refused(reader.read(chunk), method)),
      Stream.concat(Stream.fromEffect(refused(reader.end, method))),
      Stream.flattenIterable
    )
  })

const refused = <A>(effect: Effect.Effect<A, AiError.AiErrorReason>, method: string) =>
  Effect.mapError(effect, (reason) => refuseWith(method, reason))

const joined = (parts: Array<Response.StreamPartEncoded>): Array<Response.PartEncoded> => {
  const text = parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")
  return parts.flatMap((part): Array<Response.PartEncoded> => {
    if (part.type === "text-end") return [{ type: "text", text }]
    if (part.type === "response-metadata") return part.id === undefined ? [] : [part]
    return part.type === "tool-call" || part.type === "finish" ? [part] : []
  })
}
