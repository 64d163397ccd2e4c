/**
 * Settings of this package, looked at when a layer is built: one that cannot work kills it.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidSetting } from "effect-cancellation"

/** The address of the API, without a slash at its end, or quotes that an environment file left. */
export const baseUrlOf = (input: string | URL): Effect.Effect<string> => {
  const text = unquoted(String(input))
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
        "http:// or https://, a host and the path of the API, without user, query and fragment"
      )
}

/** A secret that a header can hold. */
export const secretOf = (
  option: string,
  secret: Redacted.Redacted
): Effect.Effect<Redacted.Redacted> => {
  const text = Redacted.isRedacted(secret) ? unquoted(Redacted.value(secret)) : ""
  return /^[!-~]+$/.test(text)
    ? Effect.succeed(Redacted.make(text))
    : invalid(
        option,
        "empty, or has characters that a header cannot hold",
        "a Redacted of letters, digits and signs without spaces"
      )
}

/** A secret of any characters: it is not sent anywhere. */
export const textSecretOf = (
  option: string,
  secret: Redacted.Redacted
): Effect.Effect<Redacted.Redacted> => {
  const text = Redacted.isRedacted(secret) ? unquoted(Redacted.value(secret)) : ""
  return text === ""
    ? invalid(option, "empty, or no Redacted", "a Redacted of the secret")
    : Effect.succeed(Redacted.make(text))
}

/** An id that the platform takes as it is. */
export const idOf = (option: string, id: string | undefined): Effect.Effect<string | undefined> =>
  id === undefined || id.trim() !== ""
    ? Effect.succeed(id)
    : invalid(option, "empty", "an id, or left out")

/** Without the quotes that an environment file left. */
export const unquoted = (text: string): string =>
  text
    .trim()
    .replace(/^(["'])(.*)\1$/s, "$2")
    .trim()

const invalid = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))
