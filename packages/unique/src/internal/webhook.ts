/**
 * Requests of the platform to a webhook: their signature, their age, and nothing else.
 */
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { Setting } from "effect-cancellation"
import { UniqueWebhookError, type UniqueWebhookReason } from "../UniqueWebhookError.ts"
import { textSecretOf } from "./settings.ts"

const maxAgeSeconds = 300

/** The body of a request that the platform has signed, and sent just now. */
export const signedBody = Effect.fnUntraced(function* (
  request: Request | HttpServerRequest.HttpServerRequest,
  options: { readonly secret: Redacted.Redacted; readonly maxBytes?: number | undefined }
) {
  const secret = yield* textSecretOf("secret", options.secret)
  const maxBytes = yield* Setting.count("maxBytes", options.maxBytes ?? 1024 * 1024)
  if (isWeb(request) && request.bodyUsed) return yield* refusal("Unreadable", unreadable)
  const source = isWeb(request) ? HttpServerRequest.fromWeb(request) : request
  const body = yield* bytesOf(source, maxBytes)
  const now = yield* Clock.currentTimeMillis
  // Both, before either is told: how long it takes says nothing of which was wrong.
  const isSigned = yield* isSignedBy(secret, source.headers["x-unique-signature"], body)
  const isNew = isFresh(source.headers["x-unique-created-at"], now)
  if (!isSigned) {
    return yield* refusal(
      "WrongSignature",
      "The signature in X-Unique-Signature is not one of this body by this secret"
    )
  }
  if (!isNew) {
    return yield* refusal(
      "TooOld",
      `X-Unique-Created-At is no time of the last ${maxAgeSeconds} seconds, by this clock`
    )
  }
  return yield* textOf(body)
})

const isWeb = (request: Request | HttpServerRequest.HttpServerRequest): request is Request =>
  typeof request.arrayBuffer === "function"

const bytesOf = (request: HttpServerRequest.HttpServerRequest, maxBytes: number) =>
  request.arrayBuffer.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
    Effect.mapError(({ reason }) =>
      reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
        ? tooLarge(maxBytes)
        : failure("Unreadable", unreadable)
    ),
    Effect.flatMap((body) => {
      // Somebody who read it before, and kept it, may have allowed more.
      if (body.byteLength > maxBytes) return Effect.fail(tooLarge(maxBytes))
      // What somebody took out of a stream is not there any more, and no error.
      return body.byteLength === 0 && Number(request.headers["content-length"] ?? 0) > 0
        ? refusal("Unreadable", unreadable)
        : Effect.succeed(body)
    })
  )

// Replaced, a byte that is wrong would make another id of an id.
const textOf = (body: ArrayBuffer) =>
  Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(body),
    catch: () => failure("Malformed", "Not a chat event: the body is no UTF-8")
  })

const isSignedBy = (secret: Redacted.Redacted, signature: string | undefined, body: ArrayBuffer) =>
  Effect.promise(async () => {
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(Redacted.value(secret)),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"]
    )
    // It compares in constant time.
    return crypto.subtle.verify("HMAC", key, bytesOfHex(signature ?? ""), body)
  })

const bytesOfHex = (text: string): Uint8Array<ArrayBuffer> =>
  /^[0-9a-f]{64}$/i.test(text)
    ? Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
    : // Never right, and compared all the same.
      new Uint8Array(32)

const isFresh = (createdAt: string | undefined, now: number): boolean =>
  /^\d{1,12}$/.test(createdAt ?? "") && Math.abs(now / 1000 - Number(createdAt)) <= maxAgeSeconds

const unreadable = "The body could not be read, or was read by somebody before"

const tooLarge = (maxBytes: number) =>
  failure("TooLarge", `The body is longer than ${maxBytes} bytes`)

const failure = (reason: UniqueWebhookReason, detail: string) =>
  new UniqueWebhookError({ reason, detail })

const refusal = (reason: UniqueWebhookReason, detail: string) =>
  Effect.fail(failure(reason, detail))
