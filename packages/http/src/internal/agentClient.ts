/**
 * Sends requests to an Agent API: with the token, not before the server wants them unless they are
 * urgent, and none longer than somebody waits for it.
 */
import * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import { type MessageStoreError, unavailable, unsupported } from "effect-cancellation"
import { AgentHttpApi, maxBatch } from "../AgentApi.ts"
import { Forbidden, NotSupported, TooLarge } from "../Problem.ts"
import { makeAgentGate } from "./agentGate.ts"
import { makeAgentTokens, type Token } from "./agentTokens.ts"
import { AgentTrouble, troubleOf } from "./agentTrouble.ts"

interface Sending {
  /** Waits until a request may be sent. */
  readonly pass: Effect.Effect<void>
  /** Notes with which token it is. */
  readonly shown: (token: Token) => Effect.Effect<void>
}

export const makeAgentClient = Effect.fnUntraced(function* (options: {
  readonly baseUrl: string
  readonly token: Token | Effect.Effect<Token, unknown>
  readonly requestTimeout: Duration.Duration
}) {
  const { baseUrl, requestTimeout, token } = options
  const http = HttpClient.withScope(yield* HttpClient.HttpClient)
  const tokens = yield* makeAgentTokens({ token, timeout: requestTimeout })
  const gate = makeAgentGate()

  const sendWith = Effect.fnUntraced(function* (
    request: HttpClientRequest.HttpClientRequest,
    token: Token,
    { pass, shown }: Sending
  ) {
    yield* pass
    yield* shown(token)
    const response = yield* http.execute(HttpClientRequest.bearerToken(request, token))
    yield* gate.saw(response)
    // `fetch` follows redirects by itself: what answered is not what was asked.
    if (Option.exists(HttpClientResponse.toWeb(response), ({ redirected }) => redirected)) {
      return yield* new AgentTrouble({
        reason: `${baseUrl} redirects, which is not followed; give the address itself`
      })
    }
    return response
  })

  const send = Effect.fnUntraced(function* (
    request: HttpClientRequest.HttpClientRequest,
    sending: Sending
  ) {
    const token = yield* tokens.get
    const response = yield* sendWith(request, token, sending)
    if (response.status !== 401) return yield* Effect.as(tokens.accepted, response)
    const renewed = yield* tokens.renew(token)
    const again = yield* sendWith(request, renewed, sending)
    if (again.status !== 401) return yield* Effect.as(tokens.accepted, again)
    yield* tokens.refused(renewed)
    return yield* new AgentTrouble({
      reason: `${baseUrl} refuses the token (401), and also the one that was asked for anew`
    })
  })

  const apiBy = (sending: Partial<Sending>) =>
    HttpApiClient.group(AgentHttpApi, {
      group: "agent",
      baseUrl,
      httpClient: HttpClient.transform(http, (_, request) =>
        send(request, { pass: gate.pass, shown: () => Effect.void, ...sending })
      )
    })

  /** Waits until the server wants requests. */
  const api = yield* apiBy({})
  /** For what is lost if it waits: then live runs are marked as lost, and ends are never told. */
  const urgent = yield* apiBy({ pass: Effect.void })

  let shownForHints: Token | undefined
  const listening = yield* apiBy({
    shown: (token) =>
      Effect.sync(() => {
        shownForHints = token
      })
  })
  /** One stream of hints at a time, and whether its token is not the present one any more. */
  const hints = {
    open: listening.hints({ responseMode: "response-only" }),
    outdated: Effect.suspend(() =>
      shownForHints === undefined ? Effect.never : tokens.replaced(shownForHints)
    )
  }

  /** What is refused for the runs it names is asked once more if there is a token for other runs. */
  const granted = <A, E, R>(request: Effect.Effect<A, E, R>) =>
    Effect.flatMap(tokens.get, (token) =>
      Effect.catchIf(
        request,
        (error) => error instanceof Forbidden,
        (error) =>
          Effect.flatMap(tokens.better(token), (better) =>
            better === token ? Effect.fail(error) : request
          )
      )
    )

  const answered = <A, E>(request: Effect.Effect<A, E, Scope.Scope>) =>
    Effect.timeoutOrElse(Effect.scoped(request), {
      duration: requestTimeout,
      orElse: () => Effect.fail(new AgentTrouble({ reason: `${baseUrl} did not answer in time` }))
    })

  const errorOf =
    (operation: string) =>
    (error: unknown): MessageStoreError =>
      error instanceof NotSupported
        ? unsupported(operation)
        : unavailable(operation, troubleOf(baseUrl, error))

  /** A call to the store: answered within the time-out, or failed and ended. */
  const call = <A, E>(operation: string, request: Effect.Effect<A, E, Scope.Scope>) =>
    Effect.mapError(answered(request), errorOf(operation))

  /** As many calls as it takes: what is too large for the server, or a proxy, is sent in halves. */
  const callAll = <I, A, E>(
    operation: string,
    items: ReadonlyArray<I>,
    request: (items: ReadonlyArray<I>) => Effect.Effect<A, E, Scope.Scope>
  ): Effect.Effect<ReadonlyArray<A>, MessageStoreError> => {
    const sent = (some: ReadonlyArray<I>): Effect.Effect<ReadonlyArray<A>, E | AgentTrouble> =>
      Effect.catchIf(
        Effect.map(answered(request(some)), (answer): ReadonlyArray<A> => [answer]),
        (error) => some.length > 1 && isTooLarge(error),
        () => each(halves(some))
      )
    const each = (batches: ReadonlyArray<ReadonlyArray<I>>) =>
      Effect.map(Effect.forEach(batches, sent), (answers) => answers.flat())
    return Effect.mapError(each(batchesOf(items)), errorOf(operation))
  }

  return { api, urgent, hints, granted, call, callAll, gate }
})

export type AgentClient = Effect.Success<ReturnType<typeof makeAgentClient>>

// An empty list is a question too.
const batchesOf = <I>(items: ReadonlyArray<I>): ReadonlyArray<ReadonlyArray<I>> =>
  items.length === 0 ? [[]] : Arr.chunksOf(items, maxBatch)

const halves = <I>(items: ReadonlyArray<I>): ReadonlyArray<ReadonlyArray<I>> => {
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)]
}

// A proxy says it without a problem.
const isTooLarge = (error: unknown): boolean =>
  error instanceof TooLarge ||
  (HttpClientError.isHttpClientError(error) && error.response?.status === 413)
