/**
 * Settings of this package, looked at when a layer is built: one that cannot work kills it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { InvalidSetting, Setting } from "effect-cancellation"

/** A time above zero, and at most this long. */
export const timeAtMost = (
  option: string,
  input: Duration.Input,
  most: Duration.Duration
): Effect.Effect<Duration.Duration> =>
  Effect.flatMap(Setting.positive(option, input), (time) =>
    Duration.isLessThanOrEqualTo(time, most)
      ? Effect.succeed(time)
      : invalid(option, Duration.format(time), `above zero and at most ${Duration.format(most)}`)
  )

/** An origin as a browser sends it: without a path, and without the port that is the scheme's own. */
export const originOf = (origin: string): Effect.Effect<string> =>
  URL.canParse(origin) && new URL(origin).origin === origin && !origin.includes("*")
    ? Effect.succeed(origin)
    : invalid(
        "allowedOrigins",
        JSON.stringify(origin),
        "origins as browsers send them, such as https://app.example.com: each by itself, without a path, a slash at the end or a *"
      )

/** The address of a server, without a slash at its end. */
export const baseUrlOf = (input: string | URL): Effect.Effect<string> => {
  const text = String(input)
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isRight =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === ""
  return isRight
    ? Effect.succeed(url.href.replace(/\/+$/, ""))
    : invalid(
        "baseUrl",
        // It may hold a password.
        "not such an address",
        "http:// or https://, a host and perhaps a path, without user, query and fragment"
      )
}

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))
