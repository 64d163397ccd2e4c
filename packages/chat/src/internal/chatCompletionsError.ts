/**
 * What a client threw, as an `AiError`. Nothing of it gets into a message unread: clients put
 * headers, and servers put keys, into what they say.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as AiError from "effect/ai/AiError"
import { NoStream } from "./chatCompletionsRequest.ts"
import { withoutSecrets } from "./withoutSecrets.ts"

/** The error with this reason, as of this method. */
export const refuseWith = (method: string, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "ChatCompletionsModel", method, reason })

/** Fails with what a client threw. */
export const refuseThrown =
  (method: string) =>
  (thrown: unknown): Effect.Effect<never, AiError.AiError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.fail(refuseWith(method, reasonOf(thrown, now)))
    )

/** What the provider said instead of a chunk: `{ error: { message, code, type } }`. */
export const reasonOfError = (error: unknown): AiError.AiErrorReason => reasonOf({ error }, 0)

const reasonOf = (thrown: unknown, now: number): AiError.AiErrorReason => {
  if (thrown instanceof NoStream) {
    return new AiError.InvalidResponseError({
      description: "the client answered no stream of chunks; set 'stream: true' in 'create'"
    })
  }
  const said = field(thrown, "error")
  const code = text(field(thrown, "code")) ?? text(field(said, "code"))
  const status = statusOf(field(thrown, "status")) ?? statusOf(field(said, "code"))
  const kind = code ?? text(field(said, "type"))
  const message = withoutSecrets(text(field(said, "message")))
  const named = kind === undefined ? undefined : `[code: ${withoutSecrets(kind) ?? "unreadable"}]`
  const description = [message, named].filter(Predicate.isNotUndefined).join(" ")
  const http = status === undefined ? undefined : { response: { status, headers: {} } }

  if (kind === "insufficient_quota" || status === 402) {
    return new AiError.QuotaExhaustedError({ http })
  }
  if (status === 429 || kind === "rate_limit_exceeded") {
    return new AiError.RateLimitError({ http, retryAfter: retryAfterOf(thrown, now) })
  }
  if (kind === "content_filter" || kind === "content_policy_violation") {
    return new AiError.ContentPolicyError({ http, description })
  }
  if (status === 401 || status === 403) {
    // Providers name the key that they refuse.
    return AiError.reasonFromHttpStatus({ status, http: { ...http }, description: named })
  }
  if (status !== undefined && status >= 400 && status < 500 && status !== 408) {
    return new AiError.InvalidRequestError({
      http,
      description: description === "" ? `HTTP ${status}` : description,
      parameter: withoutSecrets(text(field(thrown, "param")) ?? text(field(said, "param")))
    })
  }
  if (status !== undefined || Predicate.isObject(said)) {
    return new AiError.InternalProviderError({
      http,
      description: description === "" ? `HTTP ${status ?? "error"}` : description
    })
  }
  return networkReasonOf(thrown) ?? unknownReasonOf(thrown)
}

const systemCodes =
  /^(E(CONN|HOST|NET|ADDR)[A-Z]+|EPIPE|EPROTO|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|UND_ERR_\w+|ERR_INVALID_URL|ERR_(SSL|TLS|SOCKET)\w*)$/

// A broken connection shows by the system's code on one of the causes, or by the error's name.
const networkReasonOf = (thrown: unknown): AiError.NetworkError | undefined => {
  const causes = causesOf(thrown)
  const codes = causes.map((cause) => text(field(cause, "code")))
  const code = codes.find((code) => code !== undefined && systemCodes.test(code))
  const name = causes.map(nameOf).find((name) => /Connection|Timeout|Abort|Network/.test(name))
  const description = code ?? name
  if (description === undefined) return undefined
  return new AiError.NetworkError({
    reason: code === "ERR_INVALID_URL" ? "InvalidUrlError" : "TransportError",
    method: "POST",
    url: "chat/completions",
    description
  })
}

const causesOf = (thrown: unknown): ReadonlyArray<unknown> => {
  const causes: Array<unknown> = []
  // An error may be its own cause.
  for (
    let error = thrown;
    error !== undefined && causes.length < 5;
    error = field(error, "cause")
  ) {
    causes.push(error)
  }
  return causes
}

const unknownReasonOf = (thrown: unknown): AiError.UnknownError => {
  const said = withoutSecrets(text(field(thrown, "message")))
  return new AiError.UnknownError({
    description: [nameOf(thrown), said].filter(Predicate.isNotUndefined).join(": ")
  })
}

const nameOf = (thrown: unknown): string =>
  thrown instanceof Error
    ? thrown.name === "Error"
      ? thrown.constructor.name
      : thrown.name
    : typeof thrown

const retryAfterOf = (thrown: unknown, now: number): Duration.Duration | undefined => {
  const milliseconds = Number(header(thrown, "retry-after-ms") ?? Number.NaN)
  if (milliseconds >= 0 && Number.isFinite(milliseconds)) return Duration.millis(milliseconds)
  const value = header(thrown, "retry-after")
  if (value === undefined || value.trim() === "") return undefined
  const seconds = Number(value)
  if (seconds >= 0 && Number.isFinite(seconds)) return Duration.seconds(seconds)
  // A date begins with its weekday; what else JavaScript takes for a date is none here.
  const at = /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? undefined : Duration.millis(Math.max(0, at - now))
}

const header = (thrown: unknown, name: string): string | undefined => {
  const headers = field(thrown, "headers")
  return headers instanceof Headers ? (headers.get(name) ?? undefined) : text(field(headers, name))
}

const field = (value: unknown, name: string): unknown =>
  Predicate.hasProperty(value, name) ? value[name] : undefined

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

const statusOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 400 && value < 600
    ? value
    : undefined
