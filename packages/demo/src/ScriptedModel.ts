/**
 * A model that needs no network: it says the same to everybody, word by word, and uses two tools.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Settings } from "./Settings.ts"

/** What a model answers: words, and wishes to use a tool. */
export const ModelPart = Schema.TaggedUnion({
  Words: { text: Schema.String },
  ToolCall: { tool: Schema.Literals(["search", "calculation"]), label: Schema.String }
})
export type ModelPart = typeof ModelPart.Type
export type ToolCall = Extract<ModelPart, { _tag: "ToolCall" }>

/** The model broke down; ask it for `/fail` to see what that looks like. */
export class ModelError extends Schema.TaggedError<ModelError>(
  "effect-cancellation-demo/ModelError"
)("ModelError", { detail: Schema.String }) {
  override get message(): string {
    return `The model failed: ${this.detail}`
  }
}

export class ScriptedModel extends Context.Service<
  ScriptedModel,
  {
    /** Goes on from the question and what the tools have brought so far. */
    readonly stream: (
      question: string,
      results: ReadonlyArray<string>
    ) => Stream.Stream<ModelPart, ModelError>
  }
>()("effect-cancellation-demo/ScriptedModel") {
  static readonly layer: Layer.Layer<ScriptedModel, never, Settings> = Layer.effect(
    this,
    Effect.gen(function* () {
      const { speed } = yield* Settings
      const think = Effect.sleep(900 / speed)
      const say = (text: string): Stream.Stream<ModelPart> =>
        Stream.fromIterable(text.split(/(?<=\s)/)).pipe(
          Stream.mapEffect((word) =>
            Effect.as(Effect.sleep(55 / speed), ModelPart.cases.Words.make({ text: word }))
          )
        )
      const call = (tool: ToolCall["tool"], label: string): Stream.Stream<ModelPart> =>
        Stream.succeed(ModelPart.cases.ToolCall.make({ tool, label }))
      const breakDown = Stream.fail(new ModelError({ detail: "you asked for it with /fail." }))

      const turn = (question: string, step: number): Stream.Stream<ModelPart, ModelError> => {
        const subject = shorten(question)
        if (step === 0) {
          return Stream.concat(say(opening(subject)), call("search", `Searching for “${subject}”`))
        }
        if (step === 1) {
          return Stream.concat(say(middle), call("calculation", "Running a long calculation"))
        }
        return question.includes("/fail") ? Stream.concat(say("\n\nAnd so, "), breakDown) : say(end)
      }
      return {
        stream: (question, results) =>
          Stream.concat(Stream.drain(Stream.fromEffect(think)), turn(question, results.length))
      }
    })
  )
}

const shorten = (question: string): string => {
  const line = question.replaceAll(/\s+/g, " ").trim()
  return line.length <= 48 ? line : `${line.slice(0, 47).trimEnd()}…`
}

const opening = (subject: string): string =>
  `You asked about “${subject}”. I am a small scripted agent, so I know nothing about it, but I can show you what a real one would do, and how it is stopped. First I will look around.`

const middle = `\n\nThat brought a few places worth reading. Before I write the answer I want to be sure of the numbers, which takes some seconds. A tool like this is where most agents cannot be stopped; press Stop while it works and see.`

const end = `\n\nHere is what happens when you press Stop.

Your wish is written to the database first, so that it is never lost: not when the connection drops, not when the server restarts. The run that writes this message is told at once if it lives in the same process, and finds out by itself within a second if it does not.

Then the work is interrupted where it stands. The model's stream is closed, a tool that is in the middle of something is ended, and whatever it had opened is closed again. Only one thing is still written: the text you have read so far.

Finally the run says how it ended, and that is what you see below the message: that it was stopped, and how long it took from your click to the end, measured by the database's own clock.

You can stop a run from a second terminal too, or ask for the same message again. That starts a new run, and a stop that was meant for the old one cannot touch it.`
