/**
 * Stops on the Unique platform, by its public REST API.
 *
 * @since 0.1.0
 */
import { positive } from "./internal/settings.ts"
import { storeOf } from "./internal/source.ts"
import type { StopStore } from "./StopStore.ts"

/**
 * Who asks, and where the platform is.
 *
 * @category models
 * @since 0.1.0
 */
export interface UniqueOptions {
  /** Sent as `Authorization: Bearer`; never in an error or a line. */
  readonly apiKey: string | undefined
  /** Sent as `x-app-id`; never in an error or a line. */
  readonly appId: string | undefined
  /**
   * The address of the API; `https://unique.example.com/public/chat` of an own installation. Default
   * `https://gateway.unique.app/public/chat-gen2`.
   */
  readonly baseUrl?: string | URL | undefined
  /** After this a read is given up, in milliseconds. Default 4,000; keep it below 5,000. */
  readonly pollTimeout?: number | undefined
  /** Most reads under way at a time, of which one company has at most a quarter. Default 64. */
  readonly concurrency?: number | undefined
}

/**
 * A store on the platform. Its own page sets the stop of a message, so `stop` and `forget` reject with
 * `StoreError` (`unsupported`); receipts are derived from the message. A run names its message with
 * `companyId` and `userId`, and a message is one run. Throws a `TypeError` where the key or the app is
 * missing.
 *
 * ```ts
 * import { createStops } from "effect-cancellation-promise"
 * import { unique } from "effect-cancellation-promise/unique"
 *
 * const stops = createStops({
 *   store: unique({
 *     apiKey: process.env.UNIQUE_API_KEY,
 *     appId: process.env.UNIQUE_APP_ID,
 *     baseUrl: process.env.UNIQUE_API_BASE_URL
 *   })
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const unique = (options: UniqueOptions): StopStore => {
  positive("pollTimeout", options.pollTimeout)
  positive("concurrency", options.concurrency)
  const { apiKey, appId } = options
  if (!apiKey || !appId) {
    throw new TypeError("unique() needs the apiKey and the appId of the platform.")
  }
  return storeOf({
    name: "The Unique platform",
    supports: {
      runs: false,
      stops: false,
      find: true,
      leases: false,
      erasure: false,
      hints: false
    },
    load: async () =>
      (await import("./internal/uniqueLayer.ts")).uniqueLayer({ ...options, apiKey, appId })
  })
}
