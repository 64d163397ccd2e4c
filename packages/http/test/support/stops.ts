// The Stop API over a store in memory, with the people that the tests are about.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  MessageRef,
  MessageRepo,
  type MessageRepoOptions,
  MessageStore,
  Run,
  RunId,
  RunQuery,
  type RunRecord
} from "effect-cancellation"
import type { RateLimiter } from "effect/persistence"
import { StoreFaults } from "effect-cancellation-testing"
import { type ActorInput, CurrentActor } from "effect-cancellation-http/CurrentActor"
import { Unauthenticated } from "effect-cancellation-http/Problem"
import { StopPolicy } from "effect-cancellation-http/StopPolicy"
import * as StopServer from "effect-cancellation-http/StopServer"

export const page = "https://app.example.com"

/** By what they show; a token that is not here is expired or garbled. */
export const people: Readonly<Record<string, ActorInput>> = {
  ada: { companyId: "acme", userId: "ada" },
  bob: { companyId: "acme", userId: "bob" },
  carl: { companyId: "acme", userId: "carl" },
  // no role of these is the administrators', though one's name has theirs in it
  mia: { companyId: "acme", userId: "mia", roles: ["member", "administered"] },
  root: { companyId: "acme", userId: "root", roles: ["member", "admin"] },
  eve: { companyId: "globex", userId: "eve" },
  // a namesake, and an administrator elsewhere
  "ada of globex": { companyId: "globex", userId: "ada", roles: ["admin"] }
}

const Actors = CurrentActor.layer((request) => {
  const token = /^Bearer (.+)$/.exec(request.headers["authorization"] ?? "")?.[1] ?? ""
  const person = Object.hasOwn(people, token) ? people[token] : undefined
  return person === undefined ? Effect.fail(new Unauthenticated()) : Effect.succeed(person)
})

/** Chats of this name are shared with Bob. */
export const shared = "shared"

const Policy = StopPolicy.layerOwn({
  isShared: (actor, { run }) =>
    Effect.succeed(run.ref.chatId.startsWith(shared) && actor.userId === "bob")
})

export const runOf = (
  ids: { readonly chatId?: string; readonly messageId?: string; readonly runId?: string } = {},
  owner: { readonly companyId?: string; readonly userId?: string } = {
    companyId: "acme",
    userId: "ada"
  }
): Run =>
  Run.make({
    ref: MessageRef.of({
      ...owner,
      chatId: ids.chatId ?? `${shared}-1`,
      messageId: ids.messageId ?? "message-1"
    }),
    runId: RunId.make(ids.runId ?? "run-1")
  })

export interface Asked {
  readonly as?: string | undefined
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** What the API is made of: its repo, and the store below with its switches. */
export const Services = (repo?: MessageRepoOptions) =>
  Layer.mergeAll(Actors, Policy).pipe(
    Layer.provideMerge(MessageRepo.layer({ pollTimeout: "1 second", ...repo })),
    Layer.provideMerge(StoreFaults.layer(MessageStore.layerMemory()))
  )

type Options = Partial<StopServer.StopServerOptions> & {
  readonly repo?: MessageRepoOptions
  readonly policy?: Layer.Layer<StopPolicy>
  readonly actors?: Layer.Layer<CurrentActor>
  readonly limiter?: Layer.Layer<RateLimiter.RateLimiter>
}

/** The API as a function, closed with the scope; `more` is provided beside its services. */
export const openStops = Effect.fnUntraced(function* (
  { actors, limiter, policy, repo, ...options }: Options = {},
  more: (repo: Layer.Layer<MessageRepo>) => Layer.Layer<never> = () => Layer.empty
) {
  const services = yield* Layer.build(
    Layer.mergeAll(Services(repo), policy ?? Layer.empty, actors ?? Layer.empty)
  )
  const beside = more(Layer.succeed(MessageRepo, Context.get(services, MessageRepo)))
  const faults = Context.get(services, StoreFaults)
  const { handler } = yield* Effect.acquireRelease(
    Effect.sync(() =>
      StopServer.toWebHandler(
        { allowedOrigins: [page], tick: "10 millis", ...options },
        Layer.mergeAll(Layer.succeedContext(services), beside, limiter ?? Layer.empty)
      )
    ),
    ({ dispose }) => Effect.promise(dispose)
  )
  const send = (method: string, path: string, { as, body, headers, signal }: Asked = {}) =>
    Effect.promise(() =>
      handler(
        new Request(`http://localhost${path}`, {
          method,
          headers: {
            ...(as === undefined ? {} : { authorization: `Bearer ${as}` }),
            ...(method === "POST" ? { "content-type": "application/json" } : {}),
            ...headers
          },
          ...(method === "POST"
            ? { body: typeof body === "string" ? body : JSON.stringify(body ?? {}) }
            : {}),
          ...(signal === undefined ? {} : { signal })
        })
      )
    )
  const records = (run: Run) =>
    Effect.orDie(faults.store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] })))
  return {
    send,
    handler,
    faults,
    repo: Context.get(services, MessageRepo),
    start: (...runs: ReadonlyArray<Run>) => Effect.orDie(faults.store.startRuns(runs)),
    advance: (run: Run, to: "observed" | "completed" | "stopped" | "lost") =>
      Effect.orDie(faults.store.advanceRuns([{ run, to }])),
    /** The run as the store has it. */
    record: (run: Run): Effect.Effect<RunRecord | undefined> =>
      Effect.map(records(run), (all) => all.find((one) => one.run.runId === run.runId))
  }
})

export const pathsOf = ({ ref }: Run) => {
  const chat = `/chats/${encodeURIComponent(ref.chatId)}`
  const stop = `${chat}/messages/${encodeURIComponent(ref.messageId)}/stop`
  return { chat: `${chat}/stop`, stop, events: `${stop}/events` }
}

/** The body as JSON. */
export const jsonOf = (response: Response) =>
  Effect.promise(() => response.json() as Promise<Record<string, unknown>>)

/** The data of the events of an answer, read to its end. */
export const eventsOf = (response: Response) =>
  Effect.map(
    Effect.promise(() => response.text()),
    (text) =>
      Array.from(
        text.matchAll(/^data: (.*)$/gm),
        ([, data]) => JSON.parse(data ?? "") as Record<string, unknown>
      )
  )
