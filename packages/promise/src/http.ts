/**
 * Stops of an agent without a database: what it asks and is told goes through the Agent API of a
 * server that has one (`effect-cancellation-http`).
 *
 * @since 0.1.0
 */
import { positive } from "./internal/settings.ts"
import { storeOf } from "./internal/source.ts"
import type { StopStore } from "./StopStore.ts"

/**
 * Where the server is, and who asks.
 *
 * @category models
 * @since 0.1.0
 */
export interface HttpOptions {
  /** Where the Agent API is, with its prefix: `https://api.example.com/internal`. */
  readonly baseUrl: string | URL
  /** The token of this agent; a function is asked at first, and again when it is refused. */
  readonly token: string | (() => string | Promise<string>)
  /** After this a request counts as failed and is ended, in milliseconds. Default 5,000. */
  readonly requestTimeout?: number | undefined
  /** How often the server says that it is alive, in milliseconds. Default 15,000. */
  readonly keepAlive?: number | undefined
}

/**
 * A store behind an Agent API. An agent watches and reports; it cannot stop others, so `stop`,
 * `receipts` and `forget` reject with `StoreError` (`unsupported`): that is the server's to do. Throws
 * a `TypeError` where the address or the token is missing.
 *
 * ```ts
 * import { createStops } from "effect-cancellation-promise"
 * import { http } from "effect-cancellation-promise/http"
 *
 * declare const token: string
 *
 * const stops = createStops({
 *   store: http({ baseUrl: "https://api.example.com/internal", token })
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const http = (options: HttpOptions): StopStore => {
  positive("requestTimeout", options.requestTimeout)
  positive("keepAlive", options.keepAlive)
  if (!URL.canParse(String(options.baseUrl))) {
    throw new TypeError("http() needs a baseUrl such as https://api.example.com/internal.")
  }
  if (options.token === "" || !["string", "function"].includes(typeof options.token)) {
    throw new TypeError("http() needs the token of this agent, or a function that answers it.")
  }
  return storeOf({
    name: "The HTTP store",
    supports: { runs: true, stops: false, find: false, leases: true, erasure: false, hints: true },
    load: async () => (await import("./internal/httpLayer.ts")).httpLayer(options)
  })
}
