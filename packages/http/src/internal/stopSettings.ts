/**
 * Settings of the Stop API, looked at when the layer is built.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSetting } from "effect-cancellation"
import type { StopServerOptions } from "../StopServer.ts"

export interface StopSettings {
  readonly allowedOrigins: ReadonlySet<string>
  readonly limit: number
  readonly window: Duration.Duration
  readonly maxBody: number
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
    limit: yield* count("rateLimit.limit", options.rateLimit?.limit ?? 60),
    window: yield* time("rateLimit.window", options.rateLimit?.window ?? "1 minute"),
    maxBody: yield* count("maxBody", options.maxBody ?? 16_384),
    tick: yield* time("tick", options.tick ?? "250 millis"),
    idleTick: yield* time("idleTick", options.idleTick ?? "2 seconds"),
    maxWait: yield* time("maxWait", options.maxWait ?? "25 seconds", Duration.seconds(25)),
    keepAlive: yield* time("keepAlive", options.keepAlive ?? "15 seconds"),
    maxEvents: yield* time("maxEvents", options.maxEvents ?? "10 minutes"),
    ownerOf: options.ownerOf ?? (({ userId }) => userId)
  }
})

// As a browser sends it: without a path, and without the port that is the scheme's own.
const originOf = (origin: string) =>
  URL.canParse(origin) && new URL(origin).origin === origin
    ? Effect.succeed(origin)
    : invalid(
        "allowedOrigins",
        JSON.stringify(origin),
        "origins as browsers send them, such as https://app.example.com, without a path or a slash at the end"
      )

const count = (option: string, value: number) =>
  Number.isSafeInteger(value) && value > 0
    ? Effect.succeed(value)
    : invalid(option, String(value), "a whole number above zero")

const time = (option: string, input: Duration.Input, most = Duration.infinity) => {
  // A number that is none has become zero by then.
  const duration = Option.getOrElse(Duration.fromInput(input), () => Duration.zero)
  const isRight =
    Duration.isFinite(duration) &&
    Duration.isPositive(duration) &&
    Duration.isLessThanOrEqualTo(duration, most)
  return isRight
    ? Effect.succeed(duration)
    : invalid(
        option,
        Duration.format(duration),
        Duration.isFinite(most)
          ? `above zero and at most ${Duration.format(most)}`
          : "a finite time above zero"
      )
}

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))
