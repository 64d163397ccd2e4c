// An agent of the Unique platform behind a webhook. It is set up by variables of the environment:
// UNIQUE_API_KEY, UNIQUE_APP_ID, UNIQUE_WEBHOOK_SECRET and, if they are to differ, UNIQUE_API_BASE_URL,
// PORT (3000) and SHUTDOWN_TIMEOUT (10 seconds, for answers to end by themselves); those of the model
// are in model.ts.
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, FiberMap, Layer } from "effect"
import { type LanguageModel, Prompt } from "effect/ai"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"
import { MessageContent, MessageQuery, MessageRepo, type RunId } from "effect-cancellation"
import { ChatHistory, ChatService } from "effect-cancellation-chat"
import { UniqueChatEvent, UniquePlatform } from "effect-cancellation-unique"
import * as Model from "./model.ts"

/** Writes two messages: how it is going to answer, and the answer. */
const agent = Effect.fn("agent")(function* (event: UniqueChatEvent) {
  const chat = yield* ChatService
  const content = yield* MessageContent
  const { companyId, payload, userId } = event
  const { assistantMessage, chatId } = payload
  const messages = yield* content.find(MessageQuery.make({ companyId, userId, chatId }))
  const written = messages.find(({ ref }) => ref.messageId === assistantMessage.id)
  // The event was delivered again after its answer.
  if (written?.completedAt !== undefined) return

  const history = yield* ChatHistory.fromMessages(messages)
  yield* chat.streamComplete({ prompt: Prompt.concat(history, "Say how you will answer.") })
  yield* chat.createAssistantMessage()
  yield* chat.streamComplete({ prompt: history })
  yield* chat.complete(Effect.log("Answered"))
})

/** The words so far stay. */
const apologize = Effect.gen(function* () {
  const chat = yield* ChatService
  const text = `${yield* chat.text}\n\nThe answer broke off here. Please ask again.`
  yield* chat.saveAssistantMessage({ text: text.trim() })
})

/** Why the run was stopped, if it was. */
const whyStopped = Effect.gen(function* () {
  const { cancellation } = yield* ChatService
  if (!(yield* cancellation.isCancelled)) return undefined
  return (yield* cancellation.cancellation).request.reason
})

/** One event, from its arrival to the last word that is stored. */
const answer = Effect.fn("answer")(
  function* (event: UniqueChatEvent) {
    const { content, payload, ref, runId } = event
    const platform = yield* UniquePlatform
    const reason = yield* agent(event).pipe(
      Effect.tapErrorTag("AiError", () => apologize),
      Effect.catchTag("AlreadyStopped", () => Effect.void),
      Effect.andThen(whyStopped),
      Effect.provide(
        ChatService.layer({ ref, runId, saveInterval: "500 millis" }).pipe(
          Layer.provideMerge(content)
        )
      )
    )
    if (reason === "shutdown") {
      yield* platform.interruptTurn({ ...ref, userMessageId: payload.userMessage.id })
    }
  },
  (running, { ref, runId }) =>
    running.pipe(
      Effect.catchCause((cause) => Effect.logError("The answer failed", cause)),
      Effect.annotateLogs({ chat: ref.chatId, event: runId })
    )
)

const Webhook = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const secret = yield* Config.Redacted("UNIQUE_WEBHOOK_SECRET")
    const timeout = yield* Config.Duration("SHUTDOWN_TIMEOUT").pipe(
      Config.withDefault("10 seconds")
    )
    const repo = yield* MessageRepo
    const answers = yield* FiberMap.make<RunId, void, never>()
    const start = yield* FiberMap.runtime(answers)<
      LanguageModel.LanguageModel | MessageRepo | UniquePlatform
    >()
    // The server takes no more events by then.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(repo.drain({ timeout }), FiberMap.awaitEmpty(answers))
    )
    yield* router.add("POST", "/webhook", (request) =>
      UniqueChatEvent.fromWebhook(request, { secret }).pipe(
        Effect.tap((event) =>
          Effect.sync(() => start(event.runId, answer(event), { onlyIfMissing: true }))
        ),
        // At once: what takes long may be sent again.
        Effect.as(HttpServerResponse.empty({ status: 200 })),
        Effect.catchTag("UniqueWebhookError", ({ detail, status }) =>
          Effect.as(Effect.logWarning(detail), HttpServerResponse.text(detail, { status }))
        )
      )
    )
  })
)

const Server = Layer.unwrap(
  Effect.map(Config.Int("PORT").pipe(Config.withDefault(3000)), (port) =>
    NodeHttpServer.layer(createServer, { port, gracefulShutdownTimeout: "3 seconds" })
  )
)
// A redirect that is followed would take the app id and the texts to another host.
const Client = FetchHttpClient.layer.pipe(
  Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
)
const Platform = UniquePlatform.layerConfig().pipe(Layer.provide(Client))
const Repo = MessageRepo.layer().pipe(Layer.provideMerge(Platform))

HttpRouter.serve(Webhook).pipe(
  Layer.provide([Server, Repo, Model.layer]),
  Layer.launch,
  NodeRuntime.runMain
)
