/**
 * The chunks of an answer as the parts that effect/ai streams.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import { reasonOfError } from "./chatCompletionsError.ts"
import { tellingUsage } from "./usageSoFar.ts"

type Part = Response.StreamPartEncoded
type Parts = ReadonlyArray<Part>

// Servers give null for what they have nothing to say about.
const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optional(Schema.NullOr(schema))

const Fragment = Schema.Struct({
  index: maybe(Schema.Int),
  id: maybe(Schema.String),
  function: maybe(Schema.Struct({ name: maybe(Schema.String), arguments: maybe(Schema.String) }))
})

const Tokens = Schema.Struct({
  prompt_tokens: maybe(Schema.Int),
  completion_tokens: maybe(Schema.Int),
  prompt_tokens_details: maybe(Schema.Struct({ cached_tokens: maybe(Schema.Int) })),
  completion_tokens_details: maybe(Schema.Struct({ reasoning_tokens: maybe(Schema.Int) }))
})

const Chunk = Schema.Struct({
  id: maybe(Schema.String),
  model: maybe(Schema.String),
  /** Seconds since 1970. */
  created: maybe(Schema.Finite),
  choices: Schema.Array(
    Schema.Struct({
      index: maybe(Schema.Int),
      delta: maybe(
        Schema.Struct({
          content: maybe(Schema.String),
          refusal: maybe(Schema.String),
          tool_calls: maybe(Schema.Array(Fragment))
        })
      ),
      finish_reason: maybe(Schema.String)
    })
  ),
  usage: maybe(Tokens)
})

const decodeChunk = Schema.decodeUnknownEffect(Chunk)

interface Call {
  readonly id: string
  readonly name: string
  params: string
}

/** Reads the chunks of one answer, in order. */
export interface ChunkReader {
  /** The parts that a chunk brings; none for many. */
  readonly read: (chunk: unknown) => Effect.Effect<Parts, AiError.AiErrorReason>
  /** The parts that are due when no chunk is left; fails if the model had not finished. */
  readonly end: Effect.Effect<Parts, AiError.AiErrorReason>
  /** True once the model has said why it ended. */
  readonly finished: () => boolean
}

/** A reader for one answer. */
export const makeChunkReader = (): ChunkReader => {
  const calls: Array<Call> = []
  // Servers number the calls of an answer; some give every call the same number, or none.
  const slots = new Map<number, Call>()
  let named = false
  let speaking = false
  let finishReason: string | undefined
  let tokens: typeof Tokens.Type | undefined

  const addFragment = (
    fragment: typeof Fragment.Type
  ): Result.Result<Array<Part>, AiError.AiErrorReason> => {
    const slot = fragment.index ?? -1
    const parts: Array<Part> = []
    let call = slots.get(slot)
    if (call === undefined || (fragment.id && fragment.id !== call.id)) {
      const { id } = fragment
      const name = fragment.function?.name
      if (!id) return invalid(`tool call ${slot} begins without an id`)
      if (!name) return invalid(`tool call '${id}' begins without the name of its tool`)
      if (calls.some((other) => other.id === id))
        return invalid(`two tool calls have the id '${id}'`)
      call = { id, name, params: "" }
      calls.push(call)
      slots.set(slot, call)
      parts.push({ type: "tool-params-start", id, name })
    }
    const delta = fragment.function?.arguments
    if (delta) {
      call.params += delta
      parts.push({ type: "tool-params-delta", id: call.id, delta })
    }
    return Result.succeed(parts)
  }

  const finish = (reason: string): Result.Result<Array<Part>, AiError.AiErrorReason> => {
    finishReason = reason
    const parts: Array<Part> = speaking ? [{ type: "text-end", id: textId }] : []
    const cutShort = reason === "length" || reason === "content_filter"
    for (const { id, name, params } of calls) {
      const parsed = parse(params, cutShort)
      if (Result.isSuccess(parsed)) {
        parts.push({ type: "tool-params-end", id })
        parts.push({ type: "tool-call", id, name, params: parsed.success })
      } else if (!cutShort) {
        return Result.fail(
          new AiError.ToolParameterValidationError({
            toolName: name,
            description: `the model's arguments for '${name}' are no JSON (${params.length} characters)`
          })
        )
      }
    }
    return Result.succeed(parts)
  }

  const read = (chunk: typeof Chunk.Type): Result.Result<Parts, AiError.AiErrorReason> =>
    Result.gen(function* () {
      const parts: Array<Part> = []
      if (!named && chunk.id) {
        named = true
        parts.push(metadataOf(chunk))
      }
      tokens = chunk.usage ?? tokens
      for (const { delta, finish_reason, index } of chunk.choices) {
        if ((index ?? 0) !== 0 || finishReason !== undefined) continue
        const text = `${delta?.content ?? ""}${delta?.refusal ?? ""}`
        if (text !== "") {
          if (!speaking) parts.push({ type: "text-start", id: textId })
          speaking = true
          parts.push({ type: "text-delta", id: textId, delta: text })
        }
        for (const fragment of delta?.tool_calls ?? [])
          parts.push(...(yield* addFragment(fragment)))
        if (finish_reason) parts.push(...(yield* finish(finish_reason)))
      }
      // Once the model has finished, the last part tells them.
      return chunk.usage && finishReason === undefined
        ? [{ type: "response-metadata", metadata: tellingUsage(usageOf(tokens)) }, ...parts]
        : parts
    })

  return {
    read: (chunk) =>
      Predicate.hasProperty(chunk, "error") && Predicate.isNotNullish(chunk.error)
        ? Effect.fail(reasonOfError(chunk.error))
        : decodeChunk(chunk).pipe(
            Effect.mapError(
              (error) =>
                new AiError.InvalidOutputError({
                  description: `a chunk is not as the chat-completions protocol has it: ${error.message}`
                })
            ),
            Effect.flatMap((chunk) => Effect.fromResult(read(chunk)))
          ),
    end: Effect.suspend(() =>
      finishReason === undefined
        ? Effect.fail(
            new AiError.InternalProviderError({
              description: "the stream ended before the model had finished"
            })
          )
        : Effect.succeed<Parts>([
            {
              type: "finish",
              reason:
                calls.length > 0 && finishReason === "stop" ? "tool-calls" : reasonOf(finishReason),
              usage: usageOf(tokens)
            }
          ])
    ),
    finished: () => finishReason !== undefined
  }
}

// An answer has one text.
const textId = "text"

const metadataOf = (chunk: typeof Chunk.Type): Part => {
  const { created, id, model } = chunk
  const timestamp =
    typeof created === "number" ? Option.getOrUndefined(DateTime.make(created * 1000)) : undefined
  return {
    type: "response-metadata",
    ...(id ? { id } : {}),
    ...(model ? { modelId: model } : {}),
    ...(timestamp === undefined ? {} : { timestamp: DateTime.formatIso(timestamp) })
  }
}

// A call without parameters may have no text at all, unless it was cut before its first letter.
const parse = (params: string, cutShort: boolean): Result.Result<unknown, unknown> =>
  Result.try(() => Tool.unsafeSecureJsonParse(params.trim() === "" && !cutShort ? "{}" : params))

const reasonOf = (reason: string): Response.FinishReason => {
  switch (reason) {
    case "stop":
    case "length":
      return reason
    case "content_filter":
      return "content-filter"
    case "tool_calls":
    case "function_call":
      return "tool-calls"
    default:
      return "other"
  }
}

const usageOf = (tokens: typeof Tokens.Type | undefined): typeof Response.Usage.Encoded => {
  const input = tokens?.prompt_tokens ?? undefined
  const output = tokens?.completion_tokens ?? undefined
  const cached = tokens?.prompt_tokens_details?.cached_tokens ?? undefined
  const reasoning = tokens?.completion_tokens_details?.reasoning_tokens ?? undefined
  return {
    inputTokens: { total: input, uncached: without(input, cached), cacheRead: cached },
    outputTokens: { total: output, text: without(output, reasoning), reasoning }
  }
}

const without = (total: number | undefined, part: number | undefined): number | undefined =>
  total === undefined ? undefined : Math.max(0, total - (part ?? 0))

const invalid = (description: string): Result.Result<never, AiError.InvalidOutputError> =>
  Result.fail(new AiError.InvalidOutputError({ description }))
