/**
 * What is wrong with an answer, or why there is none, in words that may be logged.
 */
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as HttpClientError from "effect/http/HttpClientError"
import { UniqueError, UniqueErrorReason } from "../UniqueError.ts"

const { cases } = UniqueErrorReason

/** Words of somebody else, as they may be told. */
export type Told = (words: string) => string

/**
 * In one line, and short. The platform, or what stands before it, may repeat what it was sent: that
 * goes first, as nobody would know the half of a secret that a cut leaves.
 */
export const toldWithout =
  (secrets: ReadonlyArray<Redacted.Redacted>): Told =>
  (words) => {
    const open = secrets.reduce(
      (text, secret) => text.replaceAll(Redacted.value(secret), "<redacted>"),
      words
    )
    const line = open.replaceAll(/[\s\p{C}]+/gu, " ").trim()
    return line.length > 200 ? `${line.slice(0, 200)}…` : line
  }

/**
 * Of the answer to a call that carried texts: the platform, or what stands before it, may say why it
 * refused one by repeating it, and nobody knows the half of a text that is quoted.
 */
export const nothingTold: Told = () => "<left out, as it may repeat a text>"

/** A refusal; its body is an object if it is the platform's own. */
export const refusalOf = (status: number, body: object | undefined, told: Told): UniqueError => {
  const words = platformWords(body)
  return new UniqueError({
    reason: reasonOf(status, body !== undefined),
    status,
    detail: `The platform answered ${status}${words === undefined ? "" : `: ${told(words)}`}${hintOf(status)}`
  })
}

export const oddAnswer = (status: number, what: string): UniqueError =>
  new UniqueError({
    reason: cases.OddAnswer.make({}),
    status,
    detail: `What answered ${status} is not the platform, or does not say what it should: ${what}`
  })

export const noAnswer = (why: string, code?: string): UniqueError =>
  new UniqueError({
    reason: cases.NoAnswer.make({}),
    detail: `No answer from the platform: ${why}`,
    ...(code === undefined ? {} : { code })
  })

/** Of whatever the client failed with only the words: it holds the request with its headers. */
export const troubleOf = (error: unknown, told: Told): UniqueError => {
  if (error instanceof UniqueError) return error
  const inner = HttpClientError.isHttpClientError(error)
    ? "cause" in error.reason
      ? error.reason.cause
      : undefined
    : error
  const { code, words } = innermost(inner)
  return noAnswer(told(words ?? "for no known reason"), code)
}

const reasonOf = (status: number, isPlatform: boolean): UniqueErrorReason => {
  // A proxy that knows no such address says nothing of messages, and an error in a success nothing at all.
  if (status < 400 || (status === 404 && !isPlatform)) return cases.OddAnswer.make({})
  switch (status) {
    case 401:
      return cases.AuthenticationError.make({})
    case 403:
      return cases.AuthorizationError.make({})
    case 404:
      return cases.NotFound.make({})
    case 429:
      return cases.RateLimited.make({})
    default:
      return status >= 500 ? cases.Failed.make({}) : cases.InvalidRequest.make({})
  }
}

const hintOf = (status: number): string => {
  switch (status) {
    case 401:
      return ". Is the API key right, and of this installation?"
    case 403:
      return ". May this app see the chat, and are company and user named as the platform names them?"
    default:
      return ""
  }
}

// `{ error: { message } }`, or `{ error: "…", message }`, or neither.
const platformWords = (body: unknown): string | undefined => {
  if (!Predicate.isObject(body)) return undefined
  const { error, message } = body
  const found = [Predicate.isObject(error) ? error["message"] : undefined, message, error].find(
    (words) => typeof words === "string" && words !== ""
  )
  return typeof found === "string" ? found : undefined
}

// `fetch` says what was wrong in the cause of what it throws, and that in the errors of several tries.
const innermost = (
  error: unknown,
  depth = 0
): { readonly words?: string; readonly code?: string } => {
  if (!(error instanceof Error) || depth > 8) return {}
  const next = error instanceof AggregateError ? error.errors[0] : error.cause
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  return {
    words: error.message || error.name,
    ...(code === undefined ? {} : { code }),
    ...innermost(next, depth + 1)
  }
}
