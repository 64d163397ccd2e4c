/**
 * A `MessageStore` and `StopSignal` for agents without a database: all they ask and are told goes
 * through the Agent API of a server that has one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import {
  type Lease,
  MessageStore,
  type MessageStoreError,
  Setting,
  type StopLook,
  StopSignal,
  type Supports,
  unsupported
} from "effect-cancellation"
import type * as HttpClient from "effect/http/HttpClient"
import type { Look, Records } from "./AgentApi.ts"
import { type AgentClient, makeAgentClient } from "./internal/agentClient.ts"
import { makeAgentListener } from "./internal/agentListener.ts"
import { baseUrlOf } from "./internal/settings.ts"

/**
 * Settings of the client. One that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface HttpMessageStoreOptions {
  /** Where the Agent API is, with its prefix: `https://api.example.com/internal`. */
  readonly baseUrl: string | URL
  /**
   * The token of this agent, sent as `Authorization: Bearer`. An effect is asked once for all, and
   * again when the server answers 401; what it fails with is not told. If the new one is refused too,
   * calls fail at once for a second, then for two, and so on, at most ten. It is also asked, at most once
   * a second, when the server answers 403 to a start, which is sent again if there is another token: that
   * may be for more runs. A token that covers fewer runs than the one before ends those left out, as if
   * they had been deleted.
   */
  readonly token: Redacted.Redacted<string> | Effect.Effect<Redacted.Redacted<string>, unknown>
  /** After this a request counts as failed and is ended. Default 5 seconds. */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * How often the server says on the stream of hints that it is alive: its `keepAlive`. After three
   * times that without a word the stream is made anew. Default 15 seconds.
   */
  readonly keepAlive?: Duration.Input | undefined
  /**
   * What the store behind the server cannot do, as its `supports` says. By default it knows runs
   * and keeps leases.
   */
  readonly supports?: Partial<Pick<Supports, "runs" | "leases">> | undefined
}

/**
 * Provides the store and the signal that a `MessageRepo` is built on.
 *
 * It never waits for the server to be built. An answer of 429 or 503 with `Retry-After` is heeded
 * for at most 10 seconds: looks and hints wait, or fail when their time is over; leases, starts and
 * ends of runs do not wait for it. Whatever else is no answer of an Agent API, such as a page of a
 * proxy, is a failed call. An agent cannot ask for stops, find
 * runs or erase: those operations answer `Unsupported`.
 *
 * ```ts
 * import { Config, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 * import { MessageRepo } from "effect-cancellation"
 * import * as HttpMessageStore from "effect-cancellation-http/HttpMessageStore"
 *
 * const Repo = MessageRepo.layer().pipe(
 *   Layer.provide(
 *     HttpMessageStore.layer({
 *       baseUrl: "https://api.example.com/internal",
 *       token: Config.Redacted("AGENT_TOKEN")
 *     })
 *   ),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: HttpMessageStoreOptions
): Layer.Layer<MessageStore, never, HttpClient.HttpClient> =>
  Layer.effectContext(Effect.suspend(() => make(options)))

const make = Effect.fnUntraced(function* (options: HttpMessageStoreOptions) {
  const baseUrl = yield* baseUrlOf(options.baseUrl)
  const requestTimeout = yield* Setting.positive(
    "requestTimeout",
    options.requestTimeout ?? "5 seconds"
  )
  const keepAlive = yield* Setting.positive("keepAlive", options.keepAlive ?? "15 seconds")
  const client = yield* makeAgentClient({ baseUrl, requestTimeout, token: options.token })
  const listen = yield* makeAgentListener({ client, baseUrl, requestTimeout, keepAlive })
  return Context.make(MessageStore, storeOf(client, options.supports ?? {})).pipe(
    Context.add(StopSignal, {
      // The server publishes: a stop is asked there.
      publish: () => Effect.void,
      hints: listen(() => true)
    })
  )
})

const storeOf = (
  { api, call, callAll, granted, urgent }: AgentClient,
  { leases = true, runs = true }: Partial<Pick<Supports, "runs" | "leases">>
): MessageStore["Service"] => {
  const ifSupported = <A>(
    isSupported: boolean,
    operation: string,
    request: Effect.Effect<A, MessageStoreError>
  ) => (isSupported ? request : Effect.fail(unsupported(operation)))

  return MessageStore.of({
    supports: { runs, stops: false, find: false, leases, erasure: false, hints: true },
    stopRequests: (all) =>
      Effect.map(
        callAll("stopRequests", all, (some) => api.look({ payload: { runs: some } })),
        joined
      ),
    startRuns: (all, lease) =>
      ifSupported(
        runs,
        "startRuns",
        Effect.map(
          callAll("startRuns", all, (some) =>
            granted(
              urgent.start({ payload: { runs: some, ...(lease && { lease: leaseOf(lease) }) } })
            )
          ),
          recordsOf
        )
      ),
    advanceRuns: (all) =>
      ifSupported(
        runs,
        "advanceRuns",
        Effect.map(
          callAll("advanceRuns", all, (changes) => urgent.advance({ payload: { changes } })),
          recordsOf
        )
      ),
    renewLease: (lease) =>
      ifSupported(
        leases,
        "renewLease",
        call("renewLease", urgent.lease({ payload: { leases: [leaseOf(lease)] } }))
      ),
    sweepLost: ifSupported(
      leases,
      "sweepLost",
      Effect.map(call("sweepLost", api.sweep({ payload: {} })), ({ records }) => records)
    ),
    requestStop: () => Effect.fail(unsupported("requestStop")),
    findRuns: () => Effect.fail(unsupported("findRuns")),
    forget: () => Effect.fail(unsupported("forget"))
  })
}

const leaseOf = ({ owner, ttl }: Lease) => ({ owner, ttl: Duration.toMillis(ttl) })

const recordsOf = (answers: ReadonlyArray<Records>) => answers.flatMap(({ records }) => records)

const joined = (looks: ReadonlyArray<Look>): StopLook => ({
  requests: looks.flatMap(({ requests }) => requests),
  gone: looks.flatMap(({ gone }) => gone),
  lost: looks.flatMap(({ lost }) => lost),
  failures: looks.flatMap(({ failures }) => failures),
  now: Math.min(...looks.map(({ now }) => now))
})
