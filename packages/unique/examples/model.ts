// The model of the example: one on a server that speaks chat completions, if OPENAI_API_KEY is set
// (OPENAI_BASE_URL and OPENAI_MODEL say which); else a script that speaks slowly and needs no network.
import { Config, Effect, Exit, Layer, Option, Redacted, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { ChatCompletionsModel } from "effect-cancellation-chat"
import OpenAI from "openai"

const settings = Config.all({
  apiKey: Config.option(Config.Redacted("OPENAI_API_KEY")),
  baseURL: Config.option(Config.String("OPENAI_BASE_URL")),
  model: Config.String("OPENAI_MODEL").pipe(Config.withDefault("gpt-5-mini"))
})

export const layer = Layer.unwrap(
  Effect.map(settings, ({ apiKey, baseURL, model }) => {
    if (Option.isNone(apiKey)) return scripted
    const openai = new OpenAI({
      apiKey: Redacted.value(apiKey.value),
      baseURL: Option.getOrNull(baseURL)
    })
    return ChatCompletionsModel.layer({
      model,
      create: (body, { signal }) =>
        openai.chat.completions.create(
          { ...body, stream: true, stream_options: { include_usage: true } },
          { signal }
        )
    })
  })
)

const scripted = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: () => Effect.die(new Error("The script only streams.")),
    streamText: ({ prompt }) =>
      say(JSON.stringify(prompt.content.at(-1)).includes("Say how") ? plan : answer).pipe(
        Stream.onExit((exit) =>
          Exit.hasInterrupts(exit) ? Effect.log("The model was interrupted") : Effect.void
        )
      )
  })
)

const say = (text: string): Stream.Stream<Response.StreamPartEncoded> => {
  const words = text
    .split(/(?<=\s)/)
    .map((delta) => ({ type: "text-delta", id: "text", delta }) as const)
  const spoken = Stream.fromIterable(words).pipe(
    Stream.mapEffect((word) => Effect.as(Effect.sleep("80 millis"), word))
  )
  const usage = { inputTokens: {}, outputTokens: {} }
  return Stream.make({ type: "text-start", id: "text" } as const).pipe(
    Stream.concat(spoken),
    Stream.concat(
      Stream.make(
        { type: "text-end", id: "text" } as const,
        { type: "finish", reason: "stop", usage, response: undefined } as const
      )
    )
  )
}

const plan = "I will say what becomes of a Stop, step by step."

const answer = `When you press Stop, the page writes the time of it to this message, on the platform. The program that lets me speak asks for that time every two seconds, once for all answers of a chat.

As soon as it has read it, my connection is closed where it stands. I do not finish the sentence, and nobody pays for the rest of it. What I was going to look up is not looked up any more.

Then one thing is still written: the words that you can see. The message is said to have ended, once, and nothing follows it: no title is made, no sources are attached, no memory is kept of what was never said.

And if the program itself is told to end, which happens at every new version of it, then it says so to the platform, so that your page does not wait for an answer that nobody is writing.`
