/**
 * Settings, looked at when the layer is built: one that cannot work kills it.
 */
import * as Effect from "effect/Effect"
import { InvalidSetting } from "effect-cancellation"

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
