/**
 * Values that go through JSON: to a provider, and to a database.
 */
import type * as Schema from "effect/Schema"

/**
 * A value as it comes out of JSON; what JSON has no form for is left out, or told as a text. A tool
 * that returns nothing gives `undefined`, which would be no JSON.
 */
export const plain = (value: unknown): Schema.Json => {
  try {
    const json: string | undefined = JSON.stringify(value, (_, part: unknown) =>
      typeof part === "bigint" ? String(part) : typeof part === "string" ? plainText(part) : part
    )
    return json === undefined ? null : JSON.parse(json)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/**
 * Half a surrogate pair, as a stop can leave it, and NUL are refused by some providers and by some
 * databases.
 */
export const plainText = (text: string): string => text.toWellFormed().replaceAll("\0", "\uFFFD")
