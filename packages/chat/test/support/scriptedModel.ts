/** A model that says what a test tells it to, and tells what it was asked. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { LanguageModel, type Prompt, type Response } from "effect/ai"

/** One answer: parts, and effects to wait for between them. */
export type Script = ReadonlyArray<Response.StreamPartEncoded | Effect.Effect<void>>

/** What a model was asked, in order. */
export class Asked extends Context.Service<Asked, { readonly prompts: Array<Prompt.Prompt> }>()(
  "test/Asked"
) {}

/** The n-th question gets the n-th script; after the last one the model only says "Done.". */
export const layer = (
  ...scripts: ReadonlyArray<Script>
): Layer.Layer<LanguageModel.LanguageModel | Asked> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const prompts: Array<Prompt.Prompt> = []
      const model = yield* LanguageModel.make({
        generateText: () => Effect.die("only streams"),
        streamText: ({ prompt }) =>
          Stream.suspend(() => {
            const script = scripts[prompts.length] ?? [...says("Done."), ends()]
            prompts.push(prompt)
            return Stream.fromIterable(script).pipe(
              Stream.rechunk(1),
              Stream.flatMap((step) =>
                Effect.isEffect(step) ? Stream.drain(Stream.fromEffect(step)) : Stream.succeed(step)
              )
            )
          })
      })
      return Context.make(LanguageModel.LanguageModel, model).pipe(Context.add(Asked, { prompts }))
    })
  )

/** A block of text, in these pieces. */
export const says = (...pieces: ReadonlyArray<string>): Script => [
  { type: "text-start", id: "text" },
  ...pieces.map((delta) => ({ type: "text-delta" as const, id: "text", delta })),
  { type: "text-end", id: "text" }
]

/** A whole tool call. */
export const calls = (name: string, params: unknown = {}, id = `call-${name}`): Script => [
  { type: "tool-call", id, name, params }
]

/** The end of an answer, with tokens if they are told. */
export const ends = (
  reason: Response.FinishReason = "stop",
  tokens?: { readonly input: number; readonly output: number }
): Response.StreamPartEncoded => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { total: tokens?.input },
    outputTokens: { total: tokens?.output }
  },
  response: undefined
})
