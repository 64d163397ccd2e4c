/**
 * Looks at settings before they are used: for layers of this library, and of your own adapters.
 *
 * `Duration` accepts infinity and negatives and makes NaN zero, so each of them would only show much
 * later, as a feed that never ticks or ticks all the time.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Setting } from "effect-cancellation"
 *
 * const interval = Effect.runSync(Setting.positive("pollInterval", "2 seconds"))
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSetting } from "./InvalidSetting.ts"

/**
 * A time that must pass: finite and above zero; dies with `InvalidSetting` otherwise.
 *
 * @category combinators
 * @since 0.1.0
 */
export const positive = (option: string, input: Duration.Input): Effect.Effect<Duration.Duration> =>
  inspect(option, input, "a finite time above zero", (millis) => millis > 0)

/**
 * A time that may be nothing: finite and not negative; dies with `InvalidSetting` otherwise.
 *
 * @category combinators
 * @since 0.1.0
 */
export const notNegative = (
  option: string,
  input: Duration.Input
): Effect.Effect<Duration.Duration> =>
  inspect(option, input, "a finite time, zero or above", (millis) => millis >= 0)

/**
 * A count of at least one; dies with `InvalidSetting` otherwise.
 *
 * @category combinators
 * @since 0.1.0
 */
export const count = (option: string, value: number): Effect.Effect<number> =>
  Number.isSafeInteger(value) && value > 0
    ? Effect.succeed(value)
    : Effect.die(
        new InvalidSetting({ option, value: String(value), range: "a whole number above zero" })
      )

const inspect = (
  option: string,
  input: Duration.Input,
  range: string,
  accept: (millis: number) => boolean
): Effect.Effect<Duration.Duration> => {
  const decoded = hasNaN(input) ? Option.none() : Duration.fromInput(input)
  const millis = Option.isSome(decoded) ? Duration.toMillis(decoded.value) : Number.NaN
  return Option.isSome(decoded) && Number.isFinite(millis) && accept(millis)
    ? Effect.succeed(decoded.value)
    : Effect.die(new InvalidSetting({ option, value: show(input), range }))
}

// `Duration.millis(NaN)` is already zero when it arrives here: only a bare number or a tuple can be told.
const hasNaN = (input: Duration.Input): boolean =>
  typeof input === "object" ? Object.values(input).some(Number.isNaN) : Number.isNaN(input)

const show = (input: Duration.Input): string =>
  Duration.isDuration(input)
    ? Duration.format(input)
    : Array.isArray(input)
      ? `[${input.join(", ")}]`
      : typeof input === "object"
        ? JSON.stringify(input)
        : String(input)
