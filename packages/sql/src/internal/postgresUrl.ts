/**
 * What a PostgreSQL URL says, and what is wrong with one: looked at before the driver does, whose
 * error would carry the whole URL, and with it the password.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidSetting } from "effect-cancellation"

/** Dies of a URL that cannot be used: named by its option, and never shown. */
export const checkUrl = (option: string, url: Redacted.Redacted): Effect.Effect<void> => {
  const range = wrongWith(Redacted.value(url))
  return range === undefined ? Effect.void : refuse(option, redacted, range)
}

/** Dies where nothing names the user to connect as. */
export const checkUser = (options: {
  readonly url?: Redacted.Redacted | undefined
  readonly username?: string | undefined
}): Effect.Effect<void> =>
  Effect.suspend(() => {
    // The driver would take the name of whoever runs the program: seldom the one that is meant, and
    // in a container there is none, which it finds out at the first statement.
    const { url, username = saidBy(url).username } = options
    if (username !== undefined) return Effect.void
    return url === undefined
      ? refuse("username", "undefined", "the name of a user of the database")
      : refuse("url", redacted, "a URL that names the user, such as postgres://user@host/database")
  })

interface UrlSettings {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly database?: string | undefined
  readonly params: URLSearchParams
}

/** What a URL says, as the driver reads it; nothing if there is none, or it cannot be read. */
export const saidBy = (url: Redacted.Redacted | undefined): UrlSettings => {
  const text = url === undefined ? "" : Redacted.value(url)
  if (!URL.canParse(text)) return { params: new URLSearchParams() }
  const { password, pathname, searchParams, username } = new URL(text)
  return {
    username: searchParams.get("user") ?? decoded(username),
    password: searchParams.get("password") ?? decoded(password),
    database: searchParams.get("dbname") ?? decoded(pathname.replace(/^\//, "")),
    params: searchParams
  }
}

const redacted = "<redacted>"

const refuse = (option: string, value: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value, range }))

// What it must be, if it is not.
const wrongWith = (text: string): string | undefined => {
  if (!/^\s*postgres(ql)?:\/\//i.test(text)) {
    return "a URL that begins with postgres:// or postgresql://"
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || isCutShort(url, text)) {
    const beforeHost = text.slice(text.indexOf("//") + 2, text.lastIndexOf("@"))
    const cut = url !== undefined && url.hash !== "" ? "#" : /[#/?]/.exec(beforeHost)?.[0]
    return cut === undefined || !text.includes("@")
      ? "a URL such as postgres://user:password@host:5432/database"
      : `a URL in which a ${cut} in a user or password is written ${encodeURIComponent(cut)}`
  }
  const isEncoded = [url.hostname, url.pathname, url.username, url.password].every(
    (part) => part === "" || decoded(part) !== undefined
  )
  return isEncoded ? undefined : "a URL in which a % in a user or password is written %25"
}

// A `#`, `/` or `?` in a password ends what is before the host: the rest of the password would be
// taken for something else, and part of it for the name of a host, which errors tell.
const isCutShort = (url: URL, text: string): boolean =>
  url.hash !== "" ||
  url.pathname.includes("@") ||
  Array.from(url.searchParams.keys()).some((name) => name.includes("@")) ||
  (url.username === "" && !url.searchParams.has("user") && text.includes("@"))

const decoded = (part: string): string | undefined => {
  try {
    return part === "" ? undefined : decodeURIComponent(part)
  } catch {
    return undefined
  }
}
