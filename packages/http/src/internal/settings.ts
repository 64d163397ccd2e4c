/**
 * Settings, looked at when a layer is built: one that cannot work kills it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSetting } from "effect-cancellation"

/** A finite time above zero, and at most `most` if there is one. */
export const timeOf = (
  option: string,
  input: Duration.Input,
  most?: Duration.Duration
): Effect.Effect<Duration.Duration> => {
  const time = decoded(input)
  const isRight = isFinite(time) && Duration.isPositive(time)
  return isRight && (most === undefined || Duration.isLessThanOrEqualTo(time, most))
    ? Effect.succeed(time)
    : invalid(
        option,
        Duration.format(time),
        most === undefined
          ? "a finite time above zero"
          : `above zero and at most ${Duration.format(most)}`
      )
}

/** A finite time, which may be nothing. */
export const pauseOf = (
  option: string,
  input: Duration.Input
): Effect.Effect<Duration.Duration> => {
  const time = decoded(input)
  return isFinite(time) && !Duration.isNegative(time)
    ? Effect.succeed(time)
    : invalid(option, Duration.format(time), "a finite time, zero or above")
}

/** A whole number above zero. */
export const countOf = (option: string, value: number): Effect.Effect<number> =>
  Number.isSafeInteger(value) && value > 0
    ? Effect.succeed(value)
    : invalid(option, String(value), "a whole number above zero")

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

// A number that is none has become zero by then.
const decoded = (input: Duration.Input): Duration.Duration =>
  Option.getOrElse(Duration.fromInput(input), () => Duration.zero)

const isFinite = (time: Duration.Duration): boolean => Number.isFinite(Duration.toMillis(time))

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))
