/**
 * The calls of the platform's public API, and what counts as an answer to them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { UniqueError, UniqueErrorReason } from "../UniqueError.ts"
import { makePauses } from "./pauses.ts"
import { companyOf, type Place, userOf } from "./place.ts"
import { nothingTold, oddAnswer, refusalOf, type Told, toldWithout, troubleOf } from "./trouble.ts"
import { MessageList } from "./wire.ts"

/** A message, or a list of them, and when it was read by the platform's clock. */
export interface Answer<A> {
  readonly value: A
  readonly now: number
}

export interface Connection {
  /** All messages of a chat, none of them looked at yet. */
  readonly list: (place: Place) => Effect.Effect<Answer<ReadonlyArray<unknown>>, UniqueError>
  /** One message, `None` only if the platform itself says that there is none. */
  readonly find: (
    place: Place,
    messageId: string
  ) => Effect.Effect<Option.Option<Answer<unknown>>, UniqueError>
  /** Changes a message and answers it; fields that are not given are left alone. */
  readonly patch: (
    place: Place,
    messageId: string,
    fields: Fields
  ) => Effect.Effect<unknown, UniqueError>
  /** Makes a message and answers it. */
  readonly create: (place: Place, fields: Fields) => Effect.Effect<unknown, UniqueError>
  /** Says that the turn that a person's message began will not be ended by the agent. */
  readonly interruptTurn: (place: Place, userMessageId: string) => Effect.Effect<void, UniqueError>
}

/** Of a body; what is undefined is left out. */
export type Fields = Readonly<Record<string, Schema.Json | undefined>>

const apiVersion = "2023-12-06"

export const makeConnection = (options: {
  readonly client: HttpClient.HttpClient
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted
  readonly appId: Redacted.Redacted
}): Connection => {
  const { apiKey, appId, baseUrl } = options
  // Ended with its scope, so that an interrupt ends the reading of a body too.
  const client = HttpClient.withScope(options.client)
  const pauses = makePauses()
  const told = toldWithout([apiKey, appId])

  const headersOf = (place: Place) =>
    Effect.gen(function* () {
      const [companyId, userId] = [companyOf(place), userOf(place)]
      const unsendable = [companyId, userId].find((id) => !sendable.test(id))
      if (unsendable === undefined) {
        return {
          "x-api-version": apiVersion,
          "x-app-id": Redacted.value(appId),
          "x-company-id": companyId,
          "x-user-id": userId
        }
      }
      return yield* new UniqueError({
        reason: UniqueErrorReason.cases.InvalidRequest.make({}),
        detail: `The platform takes company and user in headers, which cannot hold ${JSON.stringify(unsendable)}`
      })
    })

  const send = <A>(
    place: Place,
    name: string,
    request: HttpClientRequest.HttpClientRequest,
    answerOf: (
      response: HttpClientResponse.HttpClientResponse,
      told: Told
    ) => Effect.Effect<A, UniqueError | HttpClientError.HttpClientError>,
    sent: Fields = {}
  ) =>
    Effect.gen(function* () {
      const headers = yield* headersOf(place)
      yield* pauses.pass(place)
      const response = yield* client.execute(
        request.pipe(
          HttpClientRequest.prependUrl(baseUrl),
          HttpClientRequest.setHeaders(headers),
          HttpClientRequest.bearerToken(apiKey),
          HttpClientRequest.acceptJson
        )
      )
      yield* Effect.annotateCurrentSpan("http.response.status_code", response.status)
      yield* pauses.saw(place, response)
      if (redirects(response)) {
        return yield* oddAnswer(response.status, "it redirects; give the address itself as baseUrl")
      }
      const answer = yield* answerOf(response, saysSomething(sent) ? nothingTold : told)
      // Hidden from tracers that show what was answered: it is what people said.
      return () => answer
    }).pipe(
      Effect.scoped,
      Effect.mapError((error) => troubleOf(error, told)),
      // The client's own spans hold the request with all its headers.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.withSpan(
        `UniquePlatform.${name}`,
        { kind: "client", attributes: { "http.request.method": request.method } },
        { captureStackTrace: false }
      ),
      Effect.map((answer) => answer())
    )

  const message = (messageId: string) => `/messages/${encodeURIComponent(messageId)}`
  const ofChat = ({ chatId }: Place) => ({ urlParams: { chatId } })

  return {
    list: (place) =>
      send(place, "list", HttpClientRequest.get("/messages", ofChat(place)), jsonOf).pipe(
        Effect.flatMap(({ now, status, value }) =>
          isList(value)
            ? Effect.succeed({ value: value.data, now })
            : Effect.fail(oddAnswer(status, `it is no list of messages, but ${kindOf(value)}`))
        )
      ),

    find: (place, messageId) =>
      dots.has(messageId)
        ? Effect.succeedNone
        : send(
            place,
            "find",
            HttpClientRequest.get(message(messageId), ofChat(place)),
            jsonOf
          ).pipe(
            Effect.map(({ now, value }) => Option.some({ value, now })),
            Effect.catchIf(
              (error) => error.reason._tag === "NotFound",
              () => Effect.succeedNone
            )
          ),

    patch: (place, messageId, fields) =>
      Effect.map(
        send(
          place,
          "change",
          HttpClientRequest.patch(message(messageId)).pipe(
            HttpClientRequest.bodyJsonUnsafe({ chatId: place.chatId, ...fields })
          ),
          jsonOf,
          fields
        ),
        ({ value }) => value
      ),

    create: (place, fields) =>
      Effect.map(
        send(
          place,
          "create",
          HttpClientRequest.post("/messages").pipe(
            HttpClientRequest.bodyJsonUnsafe({ chatId: place.chatId, ...fields })
          ),
          jsonOf,
          fields
        ),
        ({ value }) => value
      ),

    interruptTurn: (place, userMessageId) =>
      send(
        place,
        "interruptTurn",
        HttpClientRequest.post(`${message(userMessageId)}/turn-interruption`).pipe(
          HttpClientRequest.bodyJsonUnsafe({ chatId: place.chatId, reason: "SYSTEM_INTERRUPTED" })
        ),
        successOf
      )
  }
}

// What else there is arrives changed, or not at all: white space at the ends is cut off.
const sendable = /^(?! )[ -~]+(?<! )$/

// A URL that ends in one of these names the folder above.
const dots = new Set([".", ".."])

const isList = Schema.is(MessageList)

/** It carries what somebody said, or what was found or thought about it. */
const saysSomething = ({ debugInfo, originalText, references, text }: Fields): boolean =>
  [text, originalText, references, debugInfo].some((field) => field !== undefined && field !== "")

// `fetch` follows by itself, unless it is told not to: what answered is not what was asked.
const redirects = (response: HttpClientResponse.HttpClientResponse): boolean =>
  (response.status >= 300 && response.status < 400 && response.status !== 304) ||
  Option.exists(HttpClientResponse.toWeb(response), ({ redirected }) => redirected)

const bodyOf = (response: HttpClientResponse.HttpClientResponse, told: Told) =>
  Effect.gen(function* () {
    const { status } = response
    const text = yield* response.text
    const value = parsed(text)
    if (status >= 400)
      return yield* refusalOf(status, Predicate.isObject(value) ? value : undefined, told)
    if (status < 200 || status >= 300) return yield* oddAnswer(status, "it is no success")
    return { text, value }
  })

const successOf = (response: HttpClientResponse.HttpClientResponse, told: Told) =>
  Effect.asVoid(bodyOf(response, told))

const jsonOf = (response: HttpClientResponse.HttpClientResponse, told: Told) =>
  Effect.gen(function* () {
    const { headers, status } = response
    const { text, value } = yield* bodyOf(response, told)
    if (value === undefined) {
      return yield* oddAnswer(
        status,
        text.trim() === ""
          ? "it is empty"
          : `it is no JSON, but ${told(headers["content-type"] ?? "something")}`
      )
    }
    if (Predicate.isObject(value) && value["error"] !== undefined && value["error"] !== null) {
      return yield* refusalOf(status, value, told)
    }
    const now = Date.parse(headers["date"] ?? "")
    return { status, value, now: Number.isNaN(now) ? yield* Clock.currentTimeMillis : now }
  })

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? "an array" : value === null ? "null" : `a JSON ${typeof value}`
