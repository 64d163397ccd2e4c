/**
 * A model that needs no network: it says the same to everybody, word by word, and uses two tools.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AiError, LanguageModel, type Prompt, type Response } from "effect/ai"
import { Settings } from "./Settings.ts"

type Part = Response.StreamPartEncoded

/** Goes on from the last question and what the tools have brought since; `/fail` makes it break down. */
export const layer: Layer.Layer<LanguageModel.LanguageModel, never, Settings> = Layer.effect(
  LanguageModel.LanguageModel,
  Effect.gen(function* () {
    const { speed } = yield* Settings
    const think = Effect.sleep(900 / speed)

    const say = (text: string): Stream.Stream<Part> =>
      Stream.fromIterable(text.split(/(?<=\s)/)).pipe(
        Stream.mapEffect((delta) =>
          Effect.as(Effect.sleep(55 / speed), { type: "text-delta" as const, id: "text", delta })
        ),
        (words) =>
          Stream.concat(Stream.succeed({ type: "text-start" as const, id: "text" }), words),
        (words) => Stream.concat(words, Stream.succeed({ type: "text-end" as const, id: "text" }))
      )

    const answer = (prompt: Prompt.Prompt): Stream.Stream<Part, AiError.AiError> => {
      const { question, step } = stateOf(prompt)
      const subject = shorten(question)
      if (step === 0) {
        return Stream.concat(
          say(opening(subject)),
          Stream.make(callOf("search", { subject }), endOf("tool-calls"))
        )
      }
      if (step === 1) {
        return Stream.concat(
          say(middle),
          Stream.make(callOf("calculation", {}), endOf("tool-calls"))
        )
      }
      return question.includes("/fail")
        ? Stream.concat(say("And so, "), Stream.fail(brokenDown))
        : Stream.concat(say(end), Stream.make(endOf("stop")))
    }

    return yield* LanguageModel.make({
      generateText: () => Effect.die(new Error("The scripted model only streams.")),
      streamText: ({ prompt }) =>
        Stream.concat(Stream.drain(Stream.fromEffect(think)), answer(prompt))
    })
  })
)

// What the last person said, and how many tools have answered since.
const stateOf = ({ content }: Prompt.Prompt) => {
  const asked = content.findLastIndex(({ role }) => role === "user")
  const message = content[asked]
  const question =
    message?.role === "user"
      ? message.content.map((part) => (part.type === "text" ? part.text : "")).join(" ")
      : ""
  const since = content.slice(asked + 1)
  return { question, step: since.filter(({ role }) => role === "tool").length }
}

const callOf = (name: "search" | "calculation", params: Record<string, string>): Part => ({
  type: "tool-call",
  id: `call-${name}`,
  name,
  params
})

const endOf = (reason: "stop" | "tool-calls"): Part => ({
  type: "finish",
  reason,
  usage: { inputTokens: {}, outputTokens: {} },
  response: undefined
})

const brokenDown = AiError.make({
  module: "ScriptedModel",
  method: "streamText",
  reason: new AiError.UnknownError({ description: "you asked for it with /fail." })
})

const shorten = (question: string): string => {
  const line = question.replaceAll(/\s+/g, " ").trim()
  return line.length <= 48 ? line : `${line.slice(0, 47).trimEnd()}…`
}

const opening = (subject: string): string =>
  `You asked about “${subject}”. I am a small scripted agent, so I know nothing about it, but I can show you what a real one would do, and how it is stopped. First I will look around.`

const middle = `That brought a few places worth reading. Before I write the answer I want to be sure of the numbers, which takes some seconds. A tool like this is where most agents cannot be stopped; press Stop while it works and see.`

const end = `Here is what happens when you press Stop.

Your wish is written to the database first, so that it is never lost: not when the connection drops, not when the server restarts. The run that writes this message is told at once if it lives in the same process, and finds out by itself within a second if it does not.

Then the work is interrupted where it stands. The model's stream is closed, a tool that is in the middle of something is ended, and whatever it had opened is closed again. Only one thing is still written: the text you have read so far.

Finally the run says how it ended, and that is what you see below the message: that it was stopped, and how long it took from when your stop was stored to the end, measured by the database's own clock.

You can stop a run from a second terminal too, or ask for the same message again. That starts a new run, and a stop that was meant for the old one cannot touch it.`
