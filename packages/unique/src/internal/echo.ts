/**
 * The platform, or what stands before it, may say why it refused a text by repeating it. What somebody
 * said must not come into an error or a log that way.
 */
import { UniqueError } from "../UniqueError.ts"
import type { Fields } from "./connection.ts"

/** The error without its words, if they repeat what was sent of somebody's texts. */
export const withoutEcho = (error: UniqueError, sent: Fields): UniqueError => {
  const { debugInfo, originalText, references, text } = sent
  const words = lettersOf(error.detail)
  return textsIn([text, originalText, references, debugInfo]).some((said) => repeats(words, said))
    ? new UniqueError({
        ...error,
        detail: `The platform answered ${error.status ?? "nothing"} in words that repeat what it was sent, and are left out`
      })
    : error
}

// Fewer in a row are anybody's words.
const most = 16
const fewest = 6

const repeats = (words: string, said: string): boolean => {
  const letters = lettersOf(said)
  if (letters.length < fewest) return false
  if (letters.length <= most) return words.includes(letters)
  const starts = Array.from({ length: Math.max(0, words.length - most + 1) }, (_, start) => start)
  return starts.some((start) => letters.includes(words.slice(start, start + most)))
}

// Whoever repeats a text may have quoted, escaped, wrapped or shortened it.
const lettersOf = (text: string): string => text.replaceAll(/\\[bfnrt]|[^\p{L}\p{N}]+/gu, "")

const textsIn = (values: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const texts: Array<string> = []
  const waiting = [...values]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (typeof value === "string") texts.push(value)
    else if (typeof value === "object" && value !== null) {
      for (const part of Object.values(value)) waiting.push(part)
    }
  }
  return texts
}
