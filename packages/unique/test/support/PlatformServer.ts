// A stand-in for the Unique platform on a real socket: its public API, the Stop of its page, its
// webhooks, and the troubles that programs have with it.
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout } from "node:timers/promises"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Api, answerCall, type ApiReply, Refusal } from "./platformApi.ts"
import { makeMessages, type MessageState, newId } from "./platformMessages.ts"
import {
  type Arrival,
  type PlatformRequest,
  type Watched,
  watchTraffic
} from "./platformTraffic.ts"
import { makeWebhook, type Webhook } from "./platformWebhook.ts"

/** What becomes of a request instead of its usual answer. */
type Trouble =
  /** No answer. */
  | "hang"
  /** The connection is reset. */
  | "reset"
  /** Does what it was asked, then resets the connection. */
  | "loseAnswer"
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body: string | Buffer
    }

/** Decides by the request; undefined leaves it to the next rule, or to the API. */
type Rule = (request: PlatformRequest) => Trouble | undefined

/** How an error is put: an object, a string beside the message, or without `error`. */
type ErrorShape = "nested" | "flat" | "absent"

type Latency = number | ((request: PlatformRequest) => number)

interface RateLimit {
  readonly requests: number
  readonly perMillis: number
  /** Seconds, an HTTP date, or no header. */
  readonly retryAfter: number | string | undefined
}

export interface PlatformOptions {
  /** How far the platform's clock is ahead, in milliseconds. */
  readonly clockOffset?: number
  readonly latency?: Latency
  readonly errorShape?: ErrorShape
}

export interface Platform extends MessageState, Watched, Webhook {
  /** Ends in `/public/chat-gen2`; the API is also below `/public/chat` and `/public`. */
  readonly baseUrl: string
  readonly apiKey: string
  readonly appId: string
  /** The platform's clock, in milliseconds. */
  readonly now: () => number
  /** The texts that were sent to the page, by message. */
  readonly events: ReadonlyMap<string, ReadonlyArray<string>>
  /** Counts requests, connections and events anew. */
  readonly clear: () => void
  /** Milliseconds between what a request does and its answer. */
  latency: Latency
  errorShape: ErrorShape
  /** Adds a rule, asked before the API and after earlier rules; answers what removes it. */
  readonly respond: (rule: Rule) => () => void
  /** Limits one company; answers what lifts it. */
  readonly rateLimit: (companyId: string, limit: RateLimit) => () => void
}

/** Listens until the scope closes; then all connections end at once. */
export const startPlatform = (
  options: PlatformOptions = {}
): Effect.Effect<Platform, never, Scope.Scope> =>
  Effect.gen(function* () {
    const now = () => Date.now() + (options.clockOffset ?? 0)
    const messages = makeMessages(now)
    const server = createServer({ keepAliveTimeout: 60_000 })
    const traffic = watchTraffic(server)
    const rules = new Set<Rule>()
    const limits = makeRateLimits()
    const events = new Map<string, Array<string>>()
    const api: Api = {
      apiKey: newId("key"),
      appId: newId("app"),
      messages,
      admit: limits.admit,
      show: (messageId, text) => {
        events.set(messageId, [...(events.get(messageId) ?? []), text])
      }
    }

    const reply = async ({ request, signal, taken, answer, breakOff }: Arrival) => {
      const trouble = firstOf(rules, request)
      const own = trouble === undefined || trouble === "loseAnswer"
      const { status, headers, body } = own
        ? asJson(replyOf(api, request, platform.errorShape))
        : typeof trouble === "string"
          ? nothing
          : trouble
      taken()
      if (trouble === "hang") return
      const { latency } = platform
      const milliseconds = typeof latency === "number" ? latency : latency(request)
      if (milliseconds > 0) {
        await setTimeout(milliseconds, undefined, { signal }).catch(() => undefined)
      }
      if (signal.aborted) return
      if (trouble === "reset" || trouble === "loseAnswer") breakOff()
      else {
        const date = new Date(now()).toUTCString()
        answer(status, { date, "content-type": "application/json", ...headers }, body)
      }
    }

    server.on("request", (incoming, response) => {
      // A rule that throws fails the test run, as an unhandled rejection.
      void traffic
        .arrive(incoming, response)
        .then((arrival) => (arrival === undefined ? undefined : reply(arrival)))
        .catch((error: unknown) => {
          response.destroy()
          throw error
        })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )

    const { port } = server.address() as AddressInfo
    const { add, message, messagesOf, patchState, remove } = messages
    const { pressStop, stopMessage, interruptedAt } = messages
    const platform: Platform = {
      baseUrl: `http://127.0.0.1:${port}/public/chat-gen2`,
      apiKey: api.apiKey,
      appId: api.appId,
      now,
      add,
      message,
      messagesOf,
      patchState,
      remove,
      pressStop,
      stopMessage,
      interruptedAt,
      requests: traffic.requests,
      received: traffic.received,
      get connections() {
        return traffic.connections
      },
      get openConnections() {
        return traffic.openConnections
      },
      get maxConcurrent() {
        return traffic.maxConcurrent
      },
      events,
      clear: () => {
        traffic.clear()
        events.clear()
      },
      latency: options.latency ?? 0,
      errorShape: options.errorShape ?? "nested",
      respond: (rule) => {
        rules.add(rule)
        return () => {
          rules.delete(rule)
        }
      },
      rateLimit: limits.limit,
      ...makeWebhook(messages, now)
    }
    return platform
  })

const firstOf = (rules: ReadonlySet<Rule>, request: PlatformRequest): Trouble | undefined => {
  for (const rule of rules) {
    const trouble = rule(request)
    if (trouble !== undefined) return trouble
  }
  return undefined
}

const nothing = { status: 0, headers: {}, body: "" }

const asJson = ({ status, headers, body }: ApiReply) => ({
  status,
  headers: headers ?? {},
  body: JSON.stringify(body)
})

const replyOf = (api: Api, request: PlatformRequest, shape: ErrorShape): ApiReply => {
  try {
    return answerCall(api, request)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { status, message, headers } = error
    return { status, headers, body: errorBodies[shape](status, message) }
  }
}

const errorBodies: Readonly<Record<ErrorShape, (status: number, message: string) => unknown>> = {
  nested: (status, message) => ({ error: { message, cause: { status } } }),
  flat: (statusCode, message) => ({ error: "Refused", message, statusCode }),
  absent: (statusCode, message) => ({ message, statusCode })
}

const makeRateLimits = () => {
  const limits = new Map<string, { readonly limit: RateLimit; admitted: ReadonlyArray<number> }>()
  return {
    limit: (companyId: string, limit: RateLimit) => {
      const entry = { limit, admitted: [] }
      limits.set(companyId, entry)
      return () => {
        if (limits.get(companyId) === entry) limits.delete(companyId)
      }
    },
    admit: (companyId: string) => {
      const entry = limits.get(companyId)
      if (entry === undefined) return
      const { requests, perMillis, retryAfter } = entry.limit
      const at = performance.now()
      const recent = entry.admitted.filter((earlier) => at - earlier < perMillis)
      if (recent.length >= requests) {
        const headers = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }
        throw new Refusal(429, "Too Many Requests", headers)
      }
      entry.admitted = [...recent, at]
    }
  }
}
