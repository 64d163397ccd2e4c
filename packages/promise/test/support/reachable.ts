// Everything that whoever gets a value can find in it, as text.
import { inspect } from "node:util"

/** Own properties of any kind, whatever an error carries, and what Node's `inspect` shows of each. */
export const reachableText = (root: unknown): string => {
  const texts: Array<string> = []
  const seen = new Set<unknown>()
  const waiting: Array<unknown> = [root]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (seen.has(value)) continue
    seen.add(value)
    if (typeof value === "string") texts.push(value)
    if ((typeof value !== "object" && typeof value !== "function") || value === null) continue
    texts.push(inspect(value, { depth: 10, showHidden: true }), textOf(value))
    if (ArrayBuffer.isView(value)) {
      texts.push(new TextDecoder().decode(value))
      continue
    }
    if (value instanceof Map || value instanceof Set) waiting.push(...Array.from(value.entries()))
    for (const key of Reflect.ownKeys(value)) {
      waiting.push(typeof key === "symbol" ? key.description : key, propertyOf(value, key))
    }
    // An error may tell these by its class.
    if (value instanceof Error) {
      for (const key of ["message", "stack", "cause", "errors"]) {
        waiting.push(propertyOf(value, key))
      }
    }
  }
  return texts.join("\n")
}

const textOf = (value: object): string => {
  try {
    return `${value instanceof Error ? String(value) : ""}\n${JSON.stringify(value)}`
  } catch {
    return ""
  }
}

const propertyOf = (value: object, key: PropertyKey): unknown => {
  try {
    return Reflect.get(value, key)
  } catch (error) {
    return error
  }
}
