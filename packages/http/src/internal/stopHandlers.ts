/**
 * The four routes.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type ChatId, type MessageId, MessageRepo, type RunId } from "effect-cancellation"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { RateLimiter } from "effect/persistence"
import { Actor } from "../CurrentActor.ts"
import { Receipt, Receipts, type StopChatBody, type StopMessageBody } from "../StopApi.ts"
import { StopPolicy } from "../StopPolicy.ts"
import { Viewers } from "../Viewers.ts"
import { eventStream } from "./eventStream.ts"
import { makeFollowers } from "./followers.ts"
import { makeMemoryLimiter } from "./memoryLimiter.ts"
import { hasReached, isFinal, receiptOfRun } from "./receipts.ts"
import { asEvents, eventId } from "./receiptEvents.ts"
import { type Stopped, makeStopping } from "./stopping.ts"
import { makeStopLimit } from "./stopLimit.ts"
import type { StopSettings } from "./stopSettings.ts"
import { makeVisibility } from "./visibility.ts"

interface OfChat {
  readonly params: { readonly chatId: ChatId }
}
interface OfMessage {
  readonly params: { readonly chatId: ChatId; readonly messageId: MessageId }
}
interface OfRun extends OfMessage {
  readonly query: { readonly runId?: RunId }
  readonly request: HttpServerRequest.HttpServerRequest
}

export const makeHandlers = Effect.fnUntraced(function* (settings: StopSettings) {
  const repo = yield* MessageRepo
  const policy = yield* StopPolicy
  const viewers = yield* Viewers
  const scope = yield* Effect.scope
  const limiter = yield* limiterOf(settings)
  const { ownerOf } = settings
  const visibility = makeVisibility({ repo, policy, ownerOf })
  const limit = makeStopLimit({ ...settings, ...limiter })
  const stopping = makeStopping({ repo, visibility, limit, ownerOf })
  const followers = makeFollowers({ ...settings, repo, scope })
  const closing = yield* Deferred.make<void>()
  yield* Effect.addFinalizer(() => Deferred.succeed(closing, undefined))

  // Answers how far the stop has come by the time the page wants to hear of it.
  const waited = Effect.fnUntraced(function* (
    { followed, receipt }: Stopped,
    phase: "observed" | "ended" | undefined
  ) {
    if (followed === undefined || hasReached(receipt, phase)) return receipt
    yield* followers.hurry(followed.ref)
    if (phase === undefined) return receipt
    let latest = receipt
    yield* followers.follow(followed, undefined).pipe(
      Stream.map(receiptOfRun),
      Stream.filter(({ phase: now }) => now !== "none"),
      Stream.tap((next) =>
        Effect.sync(() => {
          latest = next
        })
      ),
      Stream.takeUntil((next) => hasReached(next, phase)),
      Stream.interruptWhen(Deferred.await(closing)),
      Stream.runDrain,
      Effect.timeoutOption(settings.maxWait),
      // The stop is stored; who does not wait for it any more is let go.
      Effect.interruptible
    )
    return withRepeated(latest, receipt)
  })

  const stopMessage = Effect.fnUntraced(function* ({
    params,
    payload
  }: OfMessage & { readonly payload: StopMessageBody }) {
    const actor = yield* Actor
    const stopped = yield* stopping.stopMessage(actor, params, payload)
    const [receipt] = yield* Effect.forEach(stopped, (one) => waited(one, payload.wait))
    return yield* receipt === undefined
      ? Effect.die(new Error("A stop of a message was answered without a receipt"))
      : Effect.orDie(answerReceipt(receipt, statusOf(hasReached(receipt, payload.wait))))
  })

  const stopChat = Effect.fnUntraced(function* ({
    params,
    payload
  }: OfChat & { readonly payload: StopChatBody }) {
    const actor = yield* Actor
    const stopped = yield* stopping.stopChat(actor, params.chatId, payload)
    const receipts = yield* Effect.forEach(stopped, (one) => waited(one, payload.wait), {
      concurrency: "unbounded"
    })
    const isReached = receipts.every((receipt) => hasReached(receipt, payload.wait))
    return yield* Effect.orDie(answerReceipts({ receipts }, statusOf(isReached)))
  })

  const receipt = Effect.fnUntraced(function* ({ params, query }: OfRun) {
    return receiptOfRun(yield* stopping.read(yield* Actor, params, query.runId))
  })

  const events = Effect.fnUntraced(function* ({ params, query, request }: OfRun) {
    const actor = yield* Actor
    const record = yield* stopping.read(actor, params, query.runId)
    const now = receiptOfRun(record)
    // An `EventSource` comes back after every end; told that there is nothing more, it does not.
    if (isFinal(now) && request.headers["last-event-id"] === eventId(now)) {
      return HttpServerResponse.empty({ status: 204 })
    }
    const { ref, runId } = record.run
    const later = followers.follow({ ref, runId }, record).pipe(Stream.map(receiptOfRun))
    const receipts = Stream.concat(Stream.succeed(now), later).pipe(Stream.takeUntil(isFinal))
    // The end of the server is nobody's leaving: to those who look it is as if all had been told.
    const bytes = asEvents(receipts, settings).pipe(Stream.interruptWhen(Deferred.await(closing)))
    // Who may only read must not be able to stop by leaving.
    const counts =
      viewers.onDisconnect === "stop" &&
      isAllowedToCall(request, settings) &&
      (yield* visibility.decide(actor, record, "stop")) === "allow"
    const looked = (
      counts ? Stream.unwrap(Effect.as(viewers.look(record.run, actor.userId), bytes)) : bytes
    ).pipe(Stream.catchTag("TimeIsUp", () => Stream.empty))
    return eventStream(looked, { keepAlive: settings.keepAlive, longest: settings.maxEvents })
  })

  return { stopMessage, stopChat, receipt, events }
})

// Whoever counts can stop by leaving, and so that is no mere read: a page of the same site that may
// not call could ask for it as for an image, which has the person's cookies and no origin.
const isAllowedToCall = (
  { headers }: HttpServerRequest.HttpServerRequest,
  { allowedOrigins }: StopSettings
): boolean => {
  const { origin, "sec-fetch-site": site = "none" } = headers
  return origin === undefined
    ? site === "none" || site === "same-origin"
    : allowedOrigins.has(origin)
}

// One that is shared by several processes counts for all of them.
const limiterOf = ({ window }: StopSettings) =>
  Effect.map(
    Effect.serviceOption(RateLimiter.RateLimiter),
    Option.match({
      onSome: (limiter) => ({ limiter, isShared: true }),
      onNone: () => ({ limiter: makeMemoryLimiter(window), isShared: false })
    })
  )

const answerReceipt = HttpServerResponse.schemaJson(Receipt)
const answerReceipts = HttpServerResponse.schemaJson(Receipts)

const statusOf = (isReached: boolean) => ({ status: isReached ? 200 : 202 })

const withRepeated = (latest: Receipt, first: Receipt): Receipt =>
  "repeated" in first && latest.phase !== "none" && latest.phase !== "superseded"
    ? { ...latest, repeated: true }
    : latest
