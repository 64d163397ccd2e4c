/**
 * Settings of the Stop API, looked at when the layer is built.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StopServerOptions } from "../StopServer.ts"
import { Setting } from "effect-cancellation"
import { originOf, timeAtMost } from "./settings.ts"

export interface StopSettings {
  readonly allowedOrigins: ReadonlySet<string>
  readonly limit: number
  readonly window: Duration.Duration
  readonly maxBody: number
  readonly bodyTimeout: Duration.Duration
  readonly tick: Duration.Duration
  readonly idleTick: Duration.Duration
  readonly maxWait: Duration.Duration
  readonly keepAlive: Duration.Duration
  readonly maxEvents: Duration.Duration
  readonly ownerOf: NonNullable<StopServerOptions["ownerOf"]>
}

export const settingsOf = Effect.fnUntraced(function* (
  options: StopServerOptions
): Effect.fn.Return<StopSettings> {
  return {
    allowedOrigins: new Set(yield* Effect.forEach(options.allowedOrigins, originOf)),
    limit: yield* Setting.count("rateLimit.limit", options.rateLimit?.limit ?? 60),
    window: yield* Setting.positive("rateLimit.window", options.rateLimit?.window ?? "1 minute"),
    maxBody: yield* Setting.count("maxBody", options.maxBody ?? 16_384),
    bodyTimeout: yield* Setting.positive("bodyTimeout", options.bodyTimeout ?? "5 seconds"),
    tick: yield* Setting.positive("tick", options.tick ?? "250 millis"),
    idleTick: yield* Setting.positive("idleTick", options.idleTick ?? "2 seconds"),
    maxWait: yield* timeAtMost("maxWait", options.maxWait ?? "25 seconds", Duration.seconds(25)),
    keepAlive: yield* Setting.positive("keepAlive", options.keepAlive ?? "15 seconds"),
    maxEvents: yield* Setting.positive("maxEvents", options.maxEvents ?? "10 minutes"),
    ownerOf: options.ownerOf ?? (({ userId }) => userId)
  }
})
