/**
 * The layer of a Redis signal.
 */
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { RedisOptions } from "../redis.ts"

export const redisLayer = async (
  url: string,
  { channel, probeInterval, tls }: RedisOptions
): Promise<Layer.Layer<never>> => {
  const { RedisStopSignal } = await import("effect-cancellation-redis")
  return RedisStopSignal.layer({
    url: Redacted.make(url),
    channel,
    probeInterval,
    tls: tls && { ...tls, key: tls.key === undefined ? undefined : Redacted.make(tls.key) }
  })
}
