/**
 * The HTTP interface of the chat. Everything that comes in is read by a Schema first.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ChatId, MessageId, MessageRef, Run, RunId, StopReceipt } from "effect-cancellation"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Answers, NotFound } from "./Answers.ts"
import { ChatEvent, ChatEvents } from "./ChatEvents.ts"
import { ChatView, MessageView } from "./ChatView.ts"
import { withProblems } from "./Problem.ts"

const maxTextLength = 4000

const InChat = Schema.Struct({ chatId: ChatId })
const OfMessage = Schema.Struct({ chatId: ChatId, messageId: MessageId })
const WithRun = Schema.Struct({ runId: RunId })
const Question = Schema.Struct({
  questionId: MessageId,
  messageId: MessageId,
  runId: RunId,
  text: Schema.String.check(
    Schema.isMaxLength(maxTextLength),
    // Nobody sees control and format characters alone.
    Schema.isPattern(/[^\s\p{Cc}\p{Cf}]/u, { expected: "a text that is not empty" })
  )
}).check(
  Schema.makeFilter(({ messageId, questionId }) =>
    messageId === questionId ? "questionId and messageId must differ" : undefined
  )
)

const encodeChat = Schema.encodeEffect(Schema.Struct({ messages: Schema.Array(MessageView) }))
const encodeReceipts = Schema.encodeEffect(Schema.Struct({ receipts: Schema.Array(StopReceipt) }))
const encodeEvent = Schema.encodeEffect(Schema.fromJsonString(ChatEvent))

const readChat = Effect.gen(function* () {
  const { chatId } = yield* HttpRouter.schemaPathParams(InChat)
  const view = yield* ChatView
  const messages = yield* view.read(chatId)
  if (messages.length === 0) {
    return yield* new NotFound({ detail: `Nobody has written anything in chat ${chatId}.` })
  }
  const shown = view.withDrafts(chatId, messages)
  return HttpServerResponse.jsonUnsafe(yield* encodeChat({ messages: shown }))
})

const ask = Effect.gen(function* () {
  const { chatId } = yield* HttpRouter.schemaPathParams(InChat)
  const question = yield* HttpServerRequest.schemaBodyJson(Question)
  const answers = yield* Answers
  yield* answers.ask({ chatId, ...question })
  return HttpServerResponse.jsonUnsafe({}, { status: 202 })
})

const runOfPath = Effect.gen(function* () {
  const { chatId, messageId } = yield* HttpRouter.schemaPathParams(OfMessage)
  const { runId } = yield* HttpServerRequest.schemaBodyJson(WithRun)
  return Run.make({ ref: MessageRef.make({ chatId, messageId }), runId })
})

const regenerate = Effect.gen(function* () {
  const answers = yield* Answers
  yield* answers.regenerate(yield* runOfPath)
  return HttpServerResponse.jsonUnsafe({}, { status: 202 })
})

const stop = Effect.gen(function* () {
  const answers = yield* Answers
  const receipts = yield* answers.stop(yield* runOfPath)
  return HttpServerResponse.jsonUnsafe(yield* encodeReceipts({ receipts }), { status: 202 })
})

const events = Effect.gen(function* () {
  const { chatId } = yield* HttpRouter.schemaPathParams(InChat)
  const chatEvents = yield* ChatEvents
  const stream = chatEvents.watch(chatId).pipe(
    Stream.mapEffect((event) => encodeEvent(event)),
    Stream.map((data) => `data: ${data}\n\n`),
    Stream.encodeText
  )
  return HttpServerResponse.stream(Stream.concat(reconnectSoon, stream), {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-store" }
  })
})

const reconnectSoon = Stream.encodeText(Stream.make("retry: 1000\n\n"))

const limited = <A, E, R>(handler: Effect.Effect<A, E, R>) =>
  Effect.provideService(handler, HttpIncomingMessage.MaxBodySize, ByteSize.kibibytes(32))

const nothingHere = Effect.fail(
  new NotFound({ detail: "There is nothing at this address of the API." })
)

/** The routes below `/api`. */
export const layer = Layer.mergeAll(
  HttpRouter.add("*", "/api/*", withProblems(nothingHere)),
  HttpRouter.add("GET", "/api/chats/:chatId", withProblems(readChat)),
  HttpRouter.add("GET", "/api/chats/:chatId/events", withProblems(events)),
  HttpRouter.add("POST", "/api/chats/:chatId/messages", withProblems(limited(ask))),
  HttpRouter.add(
    "POST",
    "/api/chats/:chatId/messages/:messageId/regenerate",
    withProblems(limited(regenerate))
  ),
  HttpRouter.add("POST", "/api/chats/:chatId/messages/:messageId/stop", withProblems(limited(stop)))
)
