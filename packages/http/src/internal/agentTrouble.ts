/**
 * What is wrong with a server of the Agent API, in words that may be logged: never with a token, and
 * never with what an answer says of runs.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"

/** A call that was not answered as it should be. */
export class AgentTrouble extends Schema.TaggedError<AgentTrouble>(
  "effect-cancellation-http/AgentTrouble"
)("AgentTrouble", {
  reason: Schema.String,
  /** Node's, of a connection: some of them mean that a person has to do something about it. */
  code: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.reason
  }
}

/** Keeps the words of whatever a call failed with, and nothing else of it. */
export const troubleOf = (baseUrl: string, error: unknown): AgentTrouble => {
  if (error instanceof AgentTrouble) return error
  if (HttpClientError.isHttpClientError(error)) {
    const { reason } = error
    const { code, words } = innermost("cause" in reason ? reason.cause : undefined)
    if ("response" in reason) {
      return words === undefined
        ? oddAnswer(baseUrl, reason.response)
        : trouble(`The answer of ${baseUrl} broke off: ${words}`, code)
    }
    return trouble(`No answer from ${baseUrl}: ${words ?? reason._tag}`, code)
  }
  if (Schema.isSchemaError(error)) {
    return trouble(`${baseUrl} answered something that is no answer of an Agent API`)
  }
  if (isProblem(error)) {
    const { detail, status, title } = error
    return trouble(`${baseUrl} answered ${status}: ${detail ?? title}`)
  }
  return trouble(
    `${baseUrl} could not be asked: ${innermost(error).words ?? "for no known reason"}`
  )
}

const oddAnswer = (
  baseUrl: string,
  { headers, status }: HttpClientResponse.HttpClientResponse
): AgentTrouble => {
  const type = headers["content-type"]?.slice(0, 100) ?? "no type"
  return trouble(`${baseUrl} answered ${status} (${type})${hintOf(status)}`)
}

const hintOf = (status: number): string => {
  if (status === 404) return ": is AgentServer mounted there?"
  if (status >= 300 && status < 400) return ": redirects are not followed; give the address itself"
  return status < 300 ? ": that is no answer of an Agent API" : ""
}

const trouble = (reason: string, code?: string) =>
  new AgentTrouble({
    reason: reason.replaceAll(/\s+/g, " ").slice(0, 500),
    ...(code === undefined ? {} : { code })
  })

interface Problem {
  readonly status: number
  readonly title: string
  readonly detail?: string
}

const isProblem = (error: unknown): error is Problem =>
  Predicate.isObject(error) &&
  typeof error["status"] === "number" &&
  typeof error["title"] === "string"

// `fetch` says what was wrong in the cause of what it throws, and that in the errors of several tries.
const innermost = (
  error: unknown,
  depth = 0
): { readonly words?: string; readonly code?: string } => {
  if (!(error instanceof Error)) return typeof error === "string" ? { words: error } : {}
  const next = error instanceof AggregateError ? error.errors[0] : error.cause
  const inner = next === undefined || depth > 4 ? {} : innermost(next, depth + 1)
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  return { words: error.message || error.name, ...(code === undefined ? {} : { code }), ...inner }
}
