/**
 * Lets the model speak into the message that is written now.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { AiError, LanguageModel, type Response, type Tool, Toolkit } from "effect/ai"
import type { CancellationWatcher } from "effect-cancellation"
import type { Completion, StreamCompleteOptions, ToolCall } from "../Completion.ts"
import type { Segment, Segments } from "./segments.ts"
import { usageIn } from "./usageSoFar.ts"
import { withoutSecrets } from "./withoutSecrets.ts"

/** Is told of each part, so that what came is known also if the answer fails. */
export interface PartListener {
  readonly onPart?: ((part: Response.AnyPart) => void) | undefined
}

export const makeStreamComplete = ({
  saveInterval,
  segments,
  watcher
}: {
  readonly watcher: CancellationWatcher["Service"]
  readonly segments: Segments
  readonly saveInterval: Duration.Duration
}) => {
  // A write under way is not cut short: the next one must not be overtaken by it.
  const keepSaving = (segment: Segment) =>
    Effect.forever(Effect.andThen(Effect.sleep(saveInterval), segments.save(segment)))

  return Effect.fn("ChatService.streamComplete")(function* <Tools extends Record<string, Tool.Any>>(
    options: StreamCompleteOptions<Tools> & PartListener
  ) {
    const segment = segments.current()
    const shown = segment.held.text ?? ""
    const before = shown === "" ? "" : `${shown}\n\n`
    const parts: Array<Response.AnyPart> = []
    const toolCalls: Array<ToolCall> = []
    let text = ""
    let usage: Response.Usage | undefined
    let finish: Response.FinishPart | undefined

    const take = (part: Response.AnyPart): Effect.Effect<void, AiError.AiError> => {
      parts.push(part)
      options.onPart?.(part)
      usage = usageIn(part) ?? usage
      if (part.type === "error") return Effect.fail(brokenOff(part.error))
      if (part.type === "finish") finish = part
      if (part.type === "tool-call" && !part.providerExecuted) {
        toolCalls.push({ id: part.id, name: part.name, params: part.params })
      }
      if (part.type !== "text-delta" || part.delta === "") return Effect.void
      text += part.delta
      segment.streamed = true
      segments.put(segment, { text: before + text })
      return options.onText?.(before + text) ?? Effect.void
    }

    yield* LanguageModel.streamText({
      prompt: options.prompt,
      toolkit: offered(options.toolkit),
      toolChoice: options.toolChoice,
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    }).pipe(
      watcher.streamWithCancellation(),
      Stream.runForEach(take),
      // The stream is cut also while its reader is busy; this ends the reader.
      watcher.runWithCancellation(),
      Effect.raceFirst(keepSaving(segment)),
      // What came is kept however it ends; why it ended is what the caller is to hear.
      Effect.onError(() => Effect.ignore(segments.save(segment)))
    )

    const cancellation = (yield* watcher.isCancelled) ? yield* watcher.cancellation : undefined
    if (cancellation !== undefined && segment.streamed) {
      segments.put(segment, { setStoppedStreamingAt: true })
    }
    yield* segments.save(segment)
    const completion: Completion = {
      text,
      parts,
      toolCalls,
      usage: finish?.usage ?? usage,
      finishReason: finish?.reason,
      stoppedByUser: cancellation?.request.reason === "user",
      cancellation
    }
    return completion
  })
}

// No handler is asked for where no call is run, so a toolkit without handlers will do; the types of
// `streamText` say so only of one that is known.
const offered = <Tools extends Record<string, Tool.Any>>(
  toolkit: StreamCompleteOptions<Tools>["toolkit"]
) => (toolkit ?? Toolkit.empty) as unknown as Toolkit.WithHandler<Tools>

// Providers put the whole request, with its key and its prompt, into what they fail with.
const brokenOff = (error: unknown) =>
  AiError.isAiError(error)
    ? error
    : AiError.make({
        module: "ChatService",
        method: "streamComplete",
        reason: new AiError.UnknownError({
          description: `The provider broke its answer off: ${saidBy(error) ?? "it did not say why"}`
        })
      })

const saidBy = (error: unknown): string | undefined => {
  const message = withoutSecrets(textOf(error) ?? textIn(error, "message"))
  const code = withoutSecrets(textIn(error, "code"))
  const said = [message, code === undefined ? undefined : `[code: ${code}]`]
  return said.filter(Predicate.isNotUndefined).join(" ") || undefined
}

const textIn = (value: unknown, name: string): string | undefined =>
  Predicate.hasProperty(value, name) ? textOf(value[name]) : undefined

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value.trim() !== "" ? value : undefined
