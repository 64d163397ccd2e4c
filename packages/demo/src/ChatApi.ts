/**
 * The HTTP interface of the chat, beside the Stop API. Everything that comes in is read by a Schema
 * first.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ChatId, MessageId, RunId } from "effect-cancellation"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Answers, NotFound } from "./Answers.ts"
import { ChatEvent, ChatEvents } from "./ChatEvents.ts"
import { ChatView, MessageView } from "./ChatView.ts"
import { guarded } from "./Guard.ts"
import { personOf } from "./Person.ts"
import { type Failure, withProblems } from "./Problem.ts"

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
  const person = yield* currentPerson
  const answers = yield* Answers
  yield* answers.ask({ person, chatId, ...question })
  return HttpServerResponse.jsonUnsafe({}, { status: 202 })
})

const regenerate = Effect.gen(function* () {
  const message = yield* HttpRouter.schemaPathParams(OfMessage)
  const { runId } = yield* HttpServerRequest.schemaBodyJson(WithRun)
  const person = yield* currentPerson
  const answers = yield* Answers
  yield* answers.regenerate({ person, ...message, runId })
  return HttpServerResponse.jsonUnsafe({}, { status: 202 })
})

const events = Effect.gen(function* () {
  const { chatId } = yield* HttpRouter.schemaPathParams(InChat)
  const { userId } = yield* currentPerson
  const chatEvents = yield* ChatEvents
  const stream = chatEvents.watch(chatId, userId).pipe(
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

const currentPerson = Effect.map(HttpServerRequest.HttpServerRequest, personOf)

const answering = <E extends Failure, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  Effect.provideService(
    withProblems(guarded(handler)),
    HttpIncomingMessage.MaxBodySize,
    ByteSize.kibibytes(32)
  )

const nothingHere = Effect.fail(
  new NotFound({ detail: "There is nothing at this address of the API." })
)

/** The routes below `/api`, without those of the Stop API. */
export const layer = Layer.mergeAll(
  HttpRouter.add("*", "/api/*", answering(nothingHere)),
  HttpRouter.add("GET", "/api/chats/:chatId", answering(readChat)),
  HttpRouter.add("GET", "/api/chats/:chatId/events", answering(events)),
  HttpRouter.add("POST", "/api/chats/:chatId/messages", answering(ask)),
  HttpRouter.add("POST", "/api/chats/:chatId/messages/:messageId/regenerate", answering(regenerate))
)
