// LangChain: an answer and its tools, which can be stopped from anywhere.
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { AIMessageChunk } from "@langchain/core/messages"
import type { StructuredToolInterface } from "@langchain/core/tools"
import type { Stops } from "effect-cancellation-promise"

/** Streams an answer, then calls the tools it asks for; a stop ends both, and the text is kept. */
export const answer = async (
  {
    model,
    stops,
    tools = []
  }: {
    readonly model: BaseChatModel
    readonly stops: Stops
    readonly tools?: ReadonlyArray<StructuredToolInterface>
  },
  { chatId, question }: { readonly chatId: string; readonly question: string },
  show: (text: string) => void
): Promise<string> => {
  let text = ""
  return stops.run(
    { chatId },
    async (run) => {
      const bound = tools.length === 0 ? model : (model.bindTools?.([...tools]) ?? model)
      let whole: AIMessageChunk | undefined
      for await (const chunk of run.stream((signal) => bound.stream(question, { signal }))) {
        whole = whole?.concat(chunk) ?? chunk
        text += chunk.text
        show(chunk.text)
      }
      for (const call of whole?.tool_calls ?? []) {
        if (await run.check()) break
        const tool = tools.find(({ name }) => name === call.name)
        await run.run((signal) => tool?.invoke(call, { signal }), { whenStopped: undefined })
      }
      return text
    },
    { whenStopped: () => text }
  )
}
