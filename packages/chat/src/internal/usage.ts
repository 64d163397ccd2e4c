/**
 * Tokens of several answers.
 */
import { Response } from "effect/ai"

/** The sum of what is known. */
export const addUsage = (
  a: Response.Usage | undefined,
  b: Response.Usage | undefined
): Response.Usage | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  const [from, to] = [a.inputTokens, b.inputTokens]
  const [said, then] = [a.outputTokens, b.outputTokens]
  return new Response.Usage({
    inputTokens: {
      uncached: sum(from.uncached, to.uncached),
      total: sum(from.total, to.total),
      cacheRead: sum(from.cacheRead, to.cacheRead),
      cacheWrite: sum(from.cacheWrite, to.cacheWrite)
    },
    outputTokens: {
      total: sum(said.total, then.total),
      text: sum(said.text, then.text),
      reasoning: sum(said.reasoning, then.reasoning)
    }
  })
}

const sum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : a + b
