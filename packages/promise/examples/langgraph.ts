// LangGraph: a graph that can be stopped from anywhere. Its nodes get the signal as `config.signal`.
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { RunnableConfig } from "@langchain/core/runnables"
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph"
import type { Stops } from "effect-cancellation-promise"

/** What a node does with its signal. */
export type Look = (signal: AbortSignal | undefined) => Promise<string>

/** A graph of two nodes: one that looks something up, and one that asks the model. */
export const makeGraph = (model: BaseChatModel, lookUp: Look) =>
  new StateGraph(MessagesAnnotation)
    .addNode("lookUp", async (_, config: RunnableConfig) => ({
      messages: [{ role: "user", content: await lookUp(config.signal) }]
    }))
    .addNode("ask", async ({ messages }, config: RunnableConfig) => ({
      messages: [await model.invoke(messages, config)]
    }))
    .addEdge(START, "lookUp")
    .addEdge("lookUp", "ask")
    .addEdge("ask", END)
    .compile()

/** Streams what the graph's model says; a stop ends the node under way, and the text is kept. */
export const answer = async (
  { graph, stops }: { readonly graph: ReturnType<typeof makeGraph>; readonly stops: Stops },
  { chatId, question }: { readonly chatId: string; readonly question: string },
  show: (text: string) => void
): Promise<string> => {
  let text = ""
  const input = { messages: [{ role: "user", content: question }] }
  return stops.run(
    { chatId },
    async (run) => {
      const parts = run.stream((signal) => graph.stream(input, { signal, streamMode: "messages" }))
      for await (const [message] of parts) {
        if (message.type !== "ai") continue
        text += message.text
        show(message.text)
      }
      return text
    },
    { whenStopped: () => text }
  )
}
