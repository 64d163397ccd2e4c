/**
 * Settings, looked at when the layer is built: one that cannot work kills it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSetting } from "effect-cancellation"

export const intervalOf = (input: Duration.Input): Effect.Effect<Duration.Duration> => {
  // A number that is none has become zero by then.
  const interval = Option.getOrElse(Duration.fromInput(input), () => Duration.zero)
  return Duration.isFinite(interval) && Duration.isPositive(interval)
    ? Effect.succeed(interval)
    : invalid("probeInterval", Duration.format(interval), "a finite time above zero")
}

export const channelOf = (channel: string): Effect.Effect<string> =>
  channel.length > 0 && channel.length <= 255 && channel.isWellFormed()
    ? Effect.succeed(channel)
    : invalid(
        "channel",
        JSON.stringify(channel),
        "a name of 1 to 255 characters, without half a surrogate pair"
      )

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))
