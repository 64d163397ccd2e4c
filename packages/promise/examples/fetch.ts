// Plain `fetch`: a body that can be stopped from anywhere.
import type { Stops } from "effect-cancellation-promise"

/** Streams a text; a stop closes the connection, and what came before it is kept. */
export const answer = async (
  { stops, url }: { readonly stops: Stops; readonly url: string },
  { chatId, question }: { readonly chatId: string; readonly question: string },
  show: (text: string) => void
): Promise<string> => {
  let text = ""
  return stops.run(
    { chatId },
    async (run) => {
      const pieces = run.stream(async (signal) => {
        const response = await fetch(url, { method: "POST", body: question, signal })
        if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`)
        return response.body.pipeThrough(new TextDecoderStream())
      })
      for await (const piece of pieces) {
        text += piece
        show(piece)
      }
      return text
    },
    { whenStopped: () => text }
  )
}
