/**
 * The Stop API as a contract: what a page asks, and what it is told. Server and clients are other
 * modules, so that neither loads the other.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import {
  ChatId,
  MessageId,
  RunId,
  RunOutcome,
  StopNote,
  StopReason,
  UserId
} from "effect-cancellation"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { CurrentActor } from "./CurrentActor.ts"
import {
  Forbidden,
  InternalError,
  NotFound,
  NotSupported,
  RateLimited,
  Unavailable
} from "./Problem.ts"
import { RequestBody, RequestGuard } from "./RequestGuard.ts"

/** An ISO 8601 time in UTC, by the store's clock. */
const Time = Schema.DateTimeUtcFromString

const requested = Schema.Struct({
  at: Time,
  /** Who, if it was a person. */
  by: Schema.optionalKey(UserId),
  reason: StopReason,
  note: Schema.optionalKey(StopNote)
})
const observed = Schema.Struct({ at: Time })
const ended = Schema.Struct({ at: Time, outcome: RunOutcome })

const place = { chatId: ChatId, messageId: MessageId, runId: RunId }
const repeated = { repeated: Schema.optionalKey(Schema.Boolean) }

/**
 * How far a stop has come; `phase` tells which fields there are.
 *
 * | phase | means |
 * |---|---|
 * | `none` | nobody asked this run to stop; with `ended` it is over |
 * | `pending` | nothing runs there yet; what starts before `expiresAt` in the actor's own name is stopped |
 * | `requested` | stored: when, by whom, why |
 * | `observed` | the agent has seen it |
 * | `ended` | the run is over, and how |
 * | `tooLate` | the run was over before it saw the stop |
 * | `superseded` | a newer run of the message has taken its place |
 * | `lost` | the process that ran it is gone |
 *
 * The last four are final. `repeated` is true in the answer to a stop that had been asked before.
 *
 * @category models
 * @since 0.1.0
 */
export const Receipt = Schema.Union([
  Schema.Struct({ phase: Schema.Literal("none"), ...place, ended: Schema.optionalKey(ended) }),
  Schema.Struct({
    phase: Schema.Literal("pending"),
    chatId: ChatId,
    messageId: Schema.optionalKey(MessageId),
    runId: Schema.optionalKey(RunId),
    requested,
    expiresAt: Time,
    ...repeated
  }),
  Schema.Struct({ phase: Schema.Literal("requested"), ...place, requested, ...repeated }),
  Schema.Struct({ phase: Schema.Literal("observed"), ...place, requested, observed, ...repeated }),
  Schema.Struct({
    phase: Schema.Literal("ended"),
    ...place,
    requested,
    observed: Schema.optionalKey(observed),
    ended,
    ...repeated
  }),
  Schema.Struct({
    phase: Schema.Literal("tooLate"),
    ...place,
    requested: Schema.optionalKey(requested),
    ended,
    ...repeated
  }),
  Schema.Struct({ phase: Schema.Literal("superseded"), ...place }),
  Schema.Struct({
    phase: Schema.Literal("lost"),
    ...place,
    requested: Schema.optionalKey(requested),
    observed: Schema.optionalKey(observed),
    ended,
    ...repeated
  })
]).annotate({ identifier: "StopReceipt" })
/** A value of {@link Receipt}. @category models @since 0.1.0 */
export type Receipt = typeof Receipt.Type

/**
 * The receipts of what runs in a chat.
 *
 * @category models
 * @since 0.1.0
 */
export const Receipts = Schema.Struct({ receipts: Schema.Array(Receipt) })
/** A value of {@link Receipts}. @category models @since 0.1.0 */
export type Receipts = typeof Receipts.Type

const asking = {
  /** `user` by default. A page that is being closed may say `disconnect`. */
  reason: Schema.optionalKey(Schema.Literals(["user", "disconnect"])),
  /** A remark, at most 500 characters; shown with the receipt, never logged. */
  note: Schema.optionalKey(StopNote),
  /** Answers when this phase has come, or after 25 seconds. */
  wait: Schema.optionalKey(Schema.Literals(["observed", "ended"]))
}

/**
 * What a page says when it stops a chat; all of it may be left out.
 *
 * @category models
 * @since 0.1.0
 */
export const StopChatBody = Schema.Struct(asking).annotate({ examples: [{ wait: "observed" }] })
/** A value of {@link StopChatBody}. @category models @since 0.1.0 */
export type StopChatBody = typeof StopChatBody.Type

/**
 * What a page says when it stops a message; without `runId` its current run is meant.
 *
 * @category models
 * @since 0.1.0
 */
export const StopMessageBody = Schema.Struct({
  runId: Schema.optionalKey(RunId),
  ...asking
}).annotate({ examples: [{ wait: "observed" }] })
/** A value of {@link StopMessageBody}. @category models @since 0.1.0 */
export type StopMessageBody = typeof StopMessageBody.Type

const inChat = { chatId: ChatId }
const ofMessage = { chatId: ChatId, messageId: MessageId }
const ofRun = { runId: Schema.optionalKey(RunId) }

const accepted = HttpApiSchema.status(202)
const reading = [Forbidden, NotFound, NotSupported, Unavailable, InternalError] as const
const stopping = [
  Forbidden,
  NotFound,
  RateLimited,
  NotSupported,
  Unavailable,
  InternalError
] as const

/**
 * The four routes of the Stop API, to be added to an API of the application's own.
 *
 * ```ts
 * import { HttpApi } from "effect/http-api"
 * import { StopApi } from "effect-cancellation-http/StopApi"
 *
 * class Api extends HttpApi.make("my-app").add(StopApi.prefix("/api")) {}
 * ```
 *
 * @category api
 * @since 0.1.0
 */
export class StopApi extends HttpApiGroup.make("stop")
  .add(
    HttpApiEndpoint.post("stopChat", "/chats/:chatId/stop", {
      params: inChat,
      payload: StopChatBody,
      success: [Receipts, Receipts.pipe(accepted)],
      error: stopping
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Stop what runs in a chat",
        description:
          "For a page that knows no message yet. 202 while a stop is under way, 200 when the phase waited for has come. Asking twice is asking once."
      })
    ),
    HttpApiEndpoint.post("stopMessage", "/chats/:chatId/messages/:messageId/stop", {
      params: ofMessage,
      payload: StopMessageBody,
      success: [Receipt, Receipt.pipe(accepted)],
      error: stopping
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Stop a message",
        description:
          "Stops the message's current run, or the run in the body. 202 while the stop is under way, 200 when the phase waited for has come or nothing more will. Asking twice is asking once."
      })
    ),
    HttpApiEndpoint.get("receipt", "/chats/:chatId/messages/:messageId/stop", {
      params: ofMessage,
      query: ofRun,
      success: Receipt,
      error: reading
    }).annotateMerge(OpenApi.annotations({ summary: "How far the stop of a message has come" })),
    HttpApiEndpoint.get("events", "/chats/:chatId/messages/:messageId/stop/events", {
      params: ofMessage,
      query: ofRun,
      success: HttpApiSchema.StreamSse({ data: Receipt }),
      error: reading
    }).annotateMerge(
      OpenApi.annotations({
        summary: "The receipt now and at each phase",
        description: "Server-sent events; the stream ends after a final phase."
      })
    )
  )
  // The last one is asked first.
  .middleware(RequestBody)
  .middleware(CurrentActor)
  .middleware(RequestGuard)
  // A field that is misspelt, such as a run's, must not stop something else.
  .annotate(HttpApi.PayloadParseOptions, { onExcessProperty: "error" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Stop",
      description: "Stops running agents, and tells how far each stop has come."
    })
  ) {}

/**
 * The Stop API by itself.
 *
 * @category api
 * @since 0.1.0
 */
export class StopHttpApi extends HttpApi.make("effect-cancellation")
  .add(StopApi)
  .annotateMerge(OpenApi.annotations({ title: "Stop API", version: "1" })) {}
