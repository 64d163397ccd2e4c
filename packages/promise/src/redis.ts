/**
 * Redis as the signal beside a store: other processes hear of a stop at once.
 *
 * @since 0.1.0
 */
import { positive } from "./internal/settings.ts"
import { signalOf } from "./internal/source.ts"
import type { StopSignal } from "./StopStore.ts"

/**
 * How Redis is used.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions {
  /**
   * The channel of the hints, the same in all processes of an application. Default
   * `effect_cancellation`.
   */
  readonly channel?: string | undefined
  /** How often it is tried whether hints arrive, in milliseconds. Default 10,000. */
  readonly probeInterval?: number | undefined
  /** Certificates in the PEM format, for a `rediss://` URL whose server Node does not trust by itself. */
  readonly tls?: {
    readonly ca?: string | undefined
    readonly cert?: string | undefined
    readonly key?: string | undefined
  }
}

/**
 * A signal on a Redis, at `redis://` or `rediss://`. It keeps nothing there and is never waited for: a
 * Redis that is away is tried again, and stops are found by polling meanwhile.
 *
 * Throws a `TypeError` where there is no URL.
 *
 * ```ts
 * import { createStops } from "effect-cancellation-promise"
 * import { redis } from "effect-cancellation-promise/redis"
 * import { sqlite } from "effect-cancellation-promise/sqlite"
 *
 * const stops = createStops({
 *   store: sqlite("stops.sqlite"),
 *   signal: redis(process.env.REDIS_URL)
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const redis = (url: string | URL | undefined, options: RedisOptions = {}): StopSignal => {
  positive("probeInterval", options.probeInterval)
  const found = String(url ?? "")
  if (found === "") {
    throw new TypeError("redis() needs a URL such as redis://host:6379: is REDIS_URL set?")
  }
  return signalOf({
    name: "The Redis signal",
    load: async () => (await import("./internal/redisLayer.ts")).redisLayer(found, options)
  })
}
