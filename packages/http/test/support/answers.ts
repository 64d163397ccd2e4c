// What every answer of the Stop API must be, whatever was asked.
import * as Schema from "effect/Schema"
import { Receipt, Receipts } from "effect-cancellation-http/StopApi"

const statuses: Readonly<Record<string, number>> = {
  invalid_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  cross_site: 403,
  not_found: 404,
  too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  internal_error: 500,
  not_supported: 501,
  unavailable: 503
}

const fields = new Set(["type", "title", "status", "detail", "code", "retryAfter"])

// A stack (in JSON too; the places that Schema names look alike), a path, a module, what a store says, and companies: no request names one in its path.
const leaks =
  /(\n|\\n)\s{4,}at \S+ \(|node_modules|\.[jt]s:\d|file:\/\/|\/src\/|MessageStore|FaultyStore|was told to|Cause|acme|globex/

const receiptOf = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Union([Receipt, Receipts])))

/** An answer in a few words: its status with the code of its problem, or the phase told. */
export interface Told {
  readonly words: string
  /** What is wrong with the answer, empty if nothing is. */
  readonly wrong: ReadonlyArray<string>
  readonly receipts: ReadonlyArray<Receipt>
}

export const told = (
  method: string,
  { headers, status }: { readonly headers: Headers; readonly status: number },
  text: string
): Told => {
  const none: Told = { words: String(status), wrong: [], receipts: [] }
  const leak = leaks.exec(text)
  const said = leak === null ? [] : [`says ${JSON.stringify(leak[0])}`]
  if (method === "HEAD" && text === "") return none
  if (status >= 400) {
    const { code, wrong } = problemOf(status, headers, text)
    return { ...none, words: `${status} ${code}`, wrong: [...said, ...wrong] }
  }
  if (status === 204) return { ...none, wrong: text === "" ? said : [...said, "204 with a body"] }
  if (headers.get("content-type")?.startsWith("text/event-stream") === true) {
    const receipts = Array.from(text.matchAll(/^data: (.*)$/gm), ([, data]) =>
      receiptOf(data)
    ).flatMap(all)
    return { words: `${status} events`, wrong: said, receipts }
  }
  const receipts = all(receiptOf(text))
  return { words: `${status} ${receipts[0]?.phase}`, wrong: said, receipts }
}

const all = (value: Receipt | Receipts) => ("receipts" in value ? value.receipts : [value])

const problemOf = (status: number, headers: Headers, text: string) => {
  const wrong: Array<string> = []
  const problem: unknown = text.startsWith("{") ? JSON.parse(text) : undefined
  const found = new Map<string, unknown>(
    typeof problem === "object" && problem !== null ? Object.entries(problem) : []
  )
  const code = String(found.get("code"))
  const must = (isSo: boolean, otherwise: string) => {
    if (!isSo) wrong.push(otherwise)
  }
  must(headers.get("content-type") === "application/problem+json", "no problem document")
  must(statuses[code] === status, `code ${code} with status ${status}`)
  must(found.get("status") === status, "another status in the document")
  must(found.get("type") === `urn:problem-type:effect-cancellation:${code}`, "another type")
  must(typeof found.get("title") === "string", "no title")
  must(text.length < 1000, `${text.length} characters`)
  must(
    Array.from(found.keys()).every((key) => fields.has(key)),
    "an unknown field"
  )
  const isLater = status === 429 || status === 503
  must(
    (headers.get("retry-after") === String(found.get("retryAfter"))) === isLater,
    "Retry-After and retryAfter"
  )
  return { code, wrong }
}
