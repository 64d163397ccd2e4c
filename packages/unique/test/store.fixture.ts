/** The ports on a platform of their own, what is asked of the store, and what it says of a run. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import {
  CancellationWatcher,
  type CancellationWatcherOptions,
  MessageContent,
  MessageRef,
  MessageRepo,
  type MessageRepoOptions,
  MessageStore,
  Run,
  RunId,
  type StopLook
} from "effect-cancellation"
import type { UniquePlatformSettings } from "../src/index.ts"
import { onPlatform } from "./support/platform.ts"
import { type Platform, type PlatformOptions, startPlatform } from "./support/PlatformServer.ts"

export const ada = { companyId: "company_1", userId: "user_ada" }
export const eve = { companyId: "company_2", userId: "user_eve" }

/** Answers instead of the platform's own. */
export type Rule = Parameters<Platform["respond"]>[0]
export type Trouble = NonNullable<ReturnType<Rule>>

export const json = (
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
): Trouble => ({ status, body: JSON.stringify(body), headers })

export const html = (status: number, headers: Readonly<Record<string, string>> = {}): Trouble => ({
  status,
  body: "<!doctype html><title>Sign in</title>",
  headers: { "content-type": "text/html", ...headers }
})

type Request = Parameters<Rule>[0]

export const isList = ({ method, path }: Request): boolean =>
  method === "GET" && path.endsWith("/messages")

export const isFind = ({ method, path }: Request): boolean =>
  method === "GET" && path.includes("/messages/")

export const ofChat =
  (chatId: string) =>
  ({ query }: Request): boolean =>
    query["chatId"] === chatId

type Added = Partial<Parameters<Platform["add"]>[0]>

export const refOf = (message: {
  readonly id: string
  readonly chatId: string
  readonly companyId?: string
  readonly userId?: string
}): MessageRef => {
  const { chatId, companyId = ada.companyId, id, userId = ada.userId } = message
  return MessageRef.of({ companyId, userId, chatId, messageId: id })
}

export const runOf = (message: Parameters<typeof refOf>[0]): Run => {
  const ref = refOf(message)
  return Run.make({ ref, runId: RunId.make(`run of ${ref.messageId}`) })
}

// A machine with much else to do is no platform that hangs.
const patient = { pollTimeout: "1 minute", writeTimeout: "1 minute" } as const

/** The ports, on a platform that is there already. */
export const openPorts = Effect.fnUntraced(function* (
  platform: Pick<Platform, "apiKey" | "appId" | "baseUrl">,
  settings: UniquePlatformSettings = {}
) {
  const ports = yield* Layer.build(Layer.fresh(onPlatform(platform, settings)))
  return {
    store: Context.get(ports, MessageStore),
    content: Context.get(ports, MessageContent)
  }
})

export const open = Effect.fnUntraced(function* (
  settings: UniquePlatformSettings = {},
  options: PlatformOptions = {}
) {
  const platform = yield* startPlatform(options)
  const ports = yield* openPorts(platform, { ...patient, ...settings })
  return {
    platform,
    ...ports,
    /** Puts a message there, of the chat `chat` unless told. */
    add: (message: Added = {}): Run => {
      const whole = { ...ada, chatId: "chat", ...message }
      return runOf({ ...whole, id: platform.add(whole).id })
    }
  }
})

/** Everything that a look says of a run; a good one says one thing, or nothing while it goes on. */
const saidOf = (look: StopLook, { ref }: Run): string => {
  const isIt = (run: Run) => run.ref === ref
  const said = [
    ...look.requests.filter(({ run }) => isIt(run)).map(() => "stopped"),
    ...look.gone.filter(isIt).map(() => "gone"),
    ...look.lost.filter(isIt).map(() => "lost"),
    ...look.failures.filter(({ run }) => isIt(run)).map(() => "failed")
  ]
  return said.length === 0 ? "running" : said.join(" and ")
}

/** What a look says of each of the runs: a look that fails says that of all of them. */
export const ask = (store: MessageStore["Service"], runs: ReadonlyArray<Run>) =>
  Effect.match(store.stopRequests(runs), {
    onFailure: () => runs.map(() => "failed"),
    onSuccess: (look) => runs.map((run) => saidOf(look, run))
  })

/** Why a look says nothing of a run. */
export const whyNot = Effect.fnUntraced(function* (store: MessageStore["Service"], run: Run) {
  const look = yield* Effect.flip(store.stopRequests([run])).pipe(
    Effect.catch((look) => Effect.succeed(look))
  )
  return "failures" in look ? (look.failures[0]?.error.message ?? "") : look.message
})

/** A process with a repo on the store. */
export const openRepo = (store: MessageStore["Service"], options?: MessageRepoOptions) =>
  Effect.map(
    Layer.build(Layer.fresh(MessageRepo.layer({ pollTimeout: "1 minute", ...options }))).pipe(
      Effect.provideService(MessageStore, store)
    ),
    Context.get(MessageRepo)
  )

/** Work that only a cancellation ends. */
export const begin = Effect.fnUntraced(function* (
  repo: MessageRepo["Service"],
  options: CancellationWatcherOptions
) {
  const watcher = Context.get(
    yield* Layer.build(Layer.fresh(CancellationWatcher.layer(options))).pipe(
      Effect.provideService(MessageRepo, repo)
    ),
    CancellationWatcher
  )
  const fiber = yield* Effect.never.pipe(
    watcher.runWithCancellation({ cancelResult: "stopped" }),
    Effect.forkChild({ startImmediately: true })
  )
  return { watcher, fiber }
})

/** The lines from warnings up, and a queue of all from infos up for whoever waits for one. */
export const listen = Effect.gen(function* () {
  const warnings: Array<string> = []
  const lines = yield* Queue.unbounded<string>()
  const logger = Logger.make(({ logLevel, message }) => {
    const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
    if (logLevel === "Debug" || logLevel === "Trace") return
    if (logLevel !== "Info") warnings.push(text)
    Queue.offerUnsafe(lines, text)
  })
  return { warnings, next: Queue.take(lines), layer: Logger.layer([logger]) }
})

/** Looks at what tells nobody of its changes, until it is so. */
export const until = (isSo: () => boolean) =>
  Effect.repeat(Effect.sync(isSo), { schedule: Schedule.spaced("2 millis"), until: (so) => so })
