/**
 * Settings, looked at when a layer is built: one that cannot work kills it.
 */
import * as Effect from "effect/Effect"
import { InvalidSetting } from "effect-cancellation"

/** The channel of stops unless another one is given. */
export const defaultChannel = "effect_cancellation"

/** The channel to announce stops on; none for `false`. */
export const channelOf = (
  notify: string | false | undefined
): Effect.Effect<string | undefined> => {
  if (notify === false) return Effect.succeed(undefined)
  const channel = notify ?? defaultChannel
  const bytes = new TextEncoder().encode(channel).byteLength
  return bytes > 0 && bytes <= 63 && !channel.includes("\0")
    ? Effect.succeed(channel)
    : invalid("notify", JSON.stringify(channel), "false, or a name of 1 to 63 bytes")
}

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))
