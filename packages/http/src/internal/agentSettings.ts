/**
 * Settings of the Agent API and its client, looked at when a layer is built.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSetting } from "effect-cancellation"

export const timeOf = (option: string, input: Duration.Input): Effect.Effect<Duration.Duration> => {
  const time = decoded(input)
  return isFinite(time) && Duration.isPositive(time)
    ? Effect.succeed(time)
    : invalid(option, Duration.format(time), "a finite time above zero")
}

export const pauseOf = (
  option: string,
  input: Duration.Input
): Effect.Effect<Duration.Duration> => {
  const time = decoded(input)
  return isFinite(time) && !Duration.isNegative(time)
    ? Effect.succeed(time)
    : invalid(option, Duration.format(time), "a finite time, zero or above")
}

export const countOf = (option: string, value: number): Effect.Effect<number> =>
  Number.isSafeInteger(value) && value > 0
    ? Effect.succeed(value)
    : invalid(option, String(value), "a whole number above zero")

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
