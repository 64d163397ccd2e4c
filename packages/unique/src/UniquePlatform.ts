/**
 * The platform as a database of stops and texts, by its public REST API.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as HttpClient from "effect/http/HttpClient"
import {
  type ChatId,
  type CompanyId,
  MessageContent,
  MessageId,
  MessageStore,
  Setting,
  type UserId
} from "effect-cancellation"
import { type Answer, makeConnection } from "./internal/connection.ts"
import { inTime } from "./internal/inTime.ts"
import { makeKeyedPermits } from "./internal/keyedPermits.ts"
import { companyOf, type Place, placeKey } from "./internal/place.ts"
import { makePlatformContent } from "./internal/platformContent.ts"
import { makePlatformStore } from "./internal/platformStore.ts"
import { baseUrlOf, idOf, secretOf, unquoted } from "./internal/settings.ts"
import { makeSharedReads } from "./internal/sharedReads.ts"
import { UniqueError, UniqueErrorReason } from "./UniqueError.ts"

/**
 * How the platform is used, besides who asks. A value that cannot work kills the layer with
 * `InvalidSetting`, which never shows a secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface UniquePlatformSettings {
  /**
   * Whose messages are made. Default: nobody's, and then only the content of a chat event makes
   * messages.
   */
  readonly assistantId?: string | undefined
  /**
   * After this a read is given up: what it did not answer is a failed read, and the rest of the look
   * stands. Default 4 seconds. Keep it below the repo's `pollTimeout`, or a chat that hangs takes the
   * answers of the others with it.
   */
  readonly pollTimeout?: Duration.Input | undefined
  /** After this any other call counts as failed. Default 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /**
   * Most reads, and most other calls, under way at a time; one company has at most a quarter of them,
   * so that one that hangs does not hold up others. Default 64.
   */
  readonly concurrency?: number | undefined
}

/**
 * Who asks, and where the platform is.
 *
 * @category models
 * @since 0.1.0
 */
export interface UniquePlatformOptions extends UniquePlatformSettings {
  /** Sent as `Authorization: Bearer`. */
  readonly apiKey: Redacted.Redacted
  /** Sent as `x-app-id`. */
  readonly appId: Redacted.Redacted
  /**
   * The address of the API: `https://unique.example.com/public/chat` of an own installation, ending in
   * `/public` within its cluster. Slashes at the end and quotes around it are taken off. Default
   * `https://gateway.unique.app/public/chat-gen2`.
   */
  readonly baseUrl?: string | URL | undefined
}

/**
 * The connection to the platform, for what is about one turn.
 *
 * @category services
 * @since 0.1.0
 */
export class UniquePlatform extends Context.Service<
  UniquePlatform,
  {
    /**
     * The texts, with new messages made for an assistant and as the next segments of the turn that a
     * message belongs to.
     */
    readonly contentOf: (turn: {
      readonly assistantId: string
      readonly messageId: string
    }) => MessageContent["Service"]

    /**
     * Tells the platform that the answer to a person's message was cut short by the system, such as a
     * shutdown. Asking twice is asking once, and a person's stop wins.
     */
    readonly interruptTurn: (turn: {
      readonly companyId?: CompanyId
      readonly userId?: UserId
      readonly chatId: ChatId
      readonly userMessageId: string
    }) => Effect.Effect<void, UniqueError>
  }
>()("effect-cancellation-unique/UniquePlatform") {
  /**
   * Stops and texts on the platform. It never waits for the platform to be built. `fetch` follows a
   * redirect, and sends app id and texts on to wherever it leads, unless it is told not to as below.
   *
   * The platform keeps messages and no runs, so parts of what `findRuns` answers, and of the receipts
   * made of it, are derived from an assistant's message. `runId` is the message's id, whatever the
   * watcher was given. `startedAt` is `startedStreamingAt`, else `createdAt`. `request` is
   * `userAbortedAt` with the reason `user`. `observedAt` is the first of `stoppedStreamingAt` and
   * `completedAt` that is not before the stop. `endedAt` is `completedAt`, and the outcome then is
   * `stopped` if the stop was observed, else `completed`: runs that failed, were interrupted or are lost
   * look like completed ones. A message that is written anew under its id is the same run.
   *
   * ```ts
   * import { Config, Layer } from "effect"
   * import { FetchHttpClient } from "effect/http"
   * import { MessageRepo } from "effect-cancellation"
   * import { UniquePlatform } from "effect-cancellation-unique"
   *
   * const Client = FetchHttpClient.layer.pipe(
   *   Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
   * )
   * const Platform = UniquePlatform.layerConfig().pipe(Layer.provide(Client))
   * const Repo = MessageRepo.layer().pipe(Layer.provideMerge(Platform))
   * ```
   */
  static readonly layer = (
    options: UniquePlatformOptions
  ): Layer.Layer<UniquePlatform | MessageStore | MessageContent, never, HttpClient.HttpClient> =>
    Layer.effectContext(Effect.suspend(() => make(options)))

  /**
   * The same by the variables `UNIQUE_API_KEY`, `UNIQUE_APP_ID` and, if it is set,
   * `UNIQUE_API_BASE_URL`.
   */
  static readonly layerConfig = (
    settings: UniquePlatformSettings = {}
  ): Layer.Layer<
    UniquePlatform | MessageStore | MessageContent,
    Config.ConfigError,
    HttpClient.HttpClient
  > =>
    Layer.effectContext(
      Effect.flatMap(environment, ({ baseUrl, ...secrets }) =>
        make({
          ...settings,
          ...secrets,
          // An environment file may leave it empty.
          baseUrl: Option.getOrUndefined(Option.filter(baseUrl, (text) => unquoted(text) !== ""))
        })
      )
    )
}

const environment = Config.all({
  apiKey: Config.Redacted("UNIQUE_API_KEY"),
  appId: Config.Redacted("UNIQUE_APP_ID"),
  baseUrl: Config.option(Config.String("UNIQUE_API_BASE_URL"))
})

const make = Effect.fnUntraced(function* (options: UniquePlatformOptions) {
  const assistantId = yield* idOf("assistantId", options.assistantId)
  const concurrency = yield* Setting.count("concurrency", options.concurrency ?? 64)
  const connection = makeConnection({
    client: yield* HttpClient.HttpClient,
    baseUrl: yield* baseUrlOf(options.baseUrl ?? "https://gateway.unique.app/public/chat-gen2"),
    apiKey: yield* secretOf("apiKey", options.apiKey),
    appId: yield* secretOf("appId", options.appId)
  })
  const scope = yield* Effect.scope
  const writeTimeout = yield* Setting.positive("writeTimeout", options.writeTimeout ?? "10 seconds")
  const readsInTurn = makeTurns(concurrency)
  const writesInTurn = makeTurns(concurrency)
  const list = makeSharedReads<Place, Answer<ReadonlyArray<unknown>>, UniqueError>({
    scope,
    keyOf: placeKey,
    inTurn: readsInTurn,
    read: connection.list
  })
  const store = makePlatformStore({
    reads: {
      list,
      find: (place, messageId) => readsInTurn(place)(connection.find(place, messageId))
    },
    pollTimeout: yield* Setting.positive("pollTimeout", options.pollTimeout ?? "4 seconds")
  })
  const contentOf = makePlatformContent({
    connection,
    scope,
    writeTimeout,
    inTurn: writesInTurn
  })
  return Context.make(MessageStore, store).pipe(
    Context.add(MessageContent, contentOf({ assistantId })),
    Context.add(UniquePlatform, {
      contentOf,
      interruptTurn: ({ userMessageId, ...place }) =>
        isMessageId(userMessageId)
          ? inTime(writeTimeout)(
              writesInTurn(place)(connection.interruptTurn(place, userMessageId))
            )
          : Effect.suspend(() => Effect.fail(noSuchId()))
    })
  )
})

// In a URL it would name something else, or nothing at all.
const isMessageId = (id: string) => isId(id) && id !== "." && id !== ".."
const isId = Schema.is(MessageId)

const noSuchId = () =>
  new UniqueError({
    reason: UniqueErrorReason.cases.InvalidRequest.make({}),
    detail: "Not asked: userMessageId is no id that a message can have"
  })

/** So many calls at a time in all, and a quarter of them for each company. */
const makeTurns = (concurrency: number) => {
  const all = Semaphore.makeUnsafe(concurrency)
  const ofCompany = makeKeyedPermits(Math.ceil(concurrency / 4))
  return (place: Place) =>
    <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      // Its company's first: what waits for that holds up nobody else.
      ofCompany(companyOf(place))(all.withPermit(call))
}
