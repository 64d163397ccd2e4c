/**
 * Redis pub/sub as the `StopSignal` of `effect-cancellation`: for stores that cannot push, such as
 * SQLite in several processes, and for fleets that would rather not hold LISTEN connections.
 *
 * Redis keeps nothing of it. A lost message does no harm: stops are in the store, and polling finds
 * them. Whether messages arrive is tried out again and again.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Redis from "effect/persistence/Redis"
import { type Run, Setting, StopSignal, StopSignalError } from "effect-cancellation"
import { makeHints } from "./internal/hints.ts"
import { encodeStop } from "./internal/payload.ts"
import { makePublisher, publishBy, type Publish } from "./internal/publisher.ts"
import { type RedisServer, serverOf } from "./internal/redisServer.ts"
import { channelOf } from "./internal/settings.ts"

/**
 * The certificates of an encrypted connection, in the PEM format.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisTls {
  /** Who is trusted to have signed the server's certificate. Default: whom Node trusts. */
  readonly ca?: string | undefined
  /** The certificate of this program, for a server that asks for one. */
  readonly cert?: string | undefined
  /** The key of `cert`. */
  readonly key?: Redacted.Redacted<string> | undefined
}

/**
 * Settings of the signal. A value that cannot work kills the layer with `InvalidSetting`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisStopSignalOptions {
  /**
   * Where Redis is: `redis://user:password@host:6379`, or `rediss://` for TLS. The number of a
   * database means nothing here: Redis's channels belong to none.
   */
  readonly url: Redacted.Redacted<string>
  /**
   * The channel of the hints, the same in all processes of an application. Applications that share
   * a Redis take different ones. Default {@link defaultChannel}.
   */
  readonly channel?: string | undefined
  /** How often it is tried whether messages arrive. Default 10 seconds. */
  readonly probeInterval?: Duration.Input | undefined
  /** Certificates, for a `rediss://` URL whose server Node does not trust by itself. */
  readonly tls?: RedisTls | undefined
}

/**
 * The channel that stops are announced on if no other is set: `effect_cancellation`.
 *
 * ```ts
 * import { RedisStopSignal } from "effect-cancellation-redis"
 *
 * const rights = `ACL SETUSER agents &${RedisStopSignal.defaultChannel}`
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const defaultChannel = "effect_cancellation"

/**
 * Provides the `StopSignal` that a `MessageRepo` listens to, on a Redis.
 *
 * It never fails and never waits for Redis: one that is away is tried again, after 100 milliseconds at
 * first and 5 seconds at most, with one warning when hints stop and one line when they come again; then
 * everything that is watched is looked at. It has two connections: one publishes, made at the first
 * stop or probe; one is subscribed while somebody listens. Every `probeInterval` a message is
 * published that must arrive at the subscribed connection within 5 seconds.
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { MessageRepo, MessageStore } from "effect-cancellation"
 * import { RedisStopSignal } from "effect-cancellation-redis"
 *
 * declare const MyStore: Layer.Layer<MessageStore>
 *
 * const Repo = MessageRepo.layer().pipe(
 *   Layer.provide([
 *     MyStore,
 *     RedisStopSignal.layer({ url: Redacted.make("redis://agents:secret@redis:6379") })
 *   ])
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: RedisStopSignalOptions): Layer.Layer<never> =>
  Layer.effect(
    StopSignal,
    Effect.suspend(() => make(options, makePublisher))
  )

/**
 * As {@link layer}, but publishes through the `Redis` service of Effect that the application has
 * already, which saves a connection. It still subscribes on a connection of its own, at `url`, which
 * must lead to the same Redis: that service does not tell when its subscriptions were interrupted.
 *
 * Such a service may fail to build when Redis is away; then the program does not start.
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer, Redacted } from "effect"
 * import { RedisStopSignal } from "effect-cancellation-redis"
 *
 * const url = "redis://redis:6379"
 * const Signal = RedisStopSignal.layerRedis({ url: Redacted.make(url) }).pipe(
 *   Layer.provide(NodeRedis.layer({ url }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: RedisStopSignalOptions
): Layer.Layer<never, never, Redis.Redis> =>
  Layer.effect(
    StopSignal,
    Effect.suspend(() => make(options, () => Effect.map(Redis.Redis, publishBy)))
  )

const make = Effect.fnUntraced(function* <R>(
  options: RedisStopSignalOptions,
  publisher: (server: RedisServer) => Effect.Effect<Publish, never, R>
) {
  const channel = yield* channelOf(options.channel ?? defaultChannel)
  const probeInterval = yield* Setting.positive(
    "probeInterval",
    options.probeInterval ?? "10 seconds"
  )
  const server = yield* serverOf(options.url, options.tls)
  const publish = yield* publisher(server)
  return {
    publish: (run: Run) =>
      Effect.suspend(() => publish(channel, encodeStop(run))).pipe(
        Effect.mapError((cause) => new StopSignalError({ cause }))
      ),
    hints: yield* makeHints({ server, channel, probeInterval, publish })
  }
})
