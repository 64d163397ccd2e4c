/**
 * What a PostgreSQL URL says, and what is wrong with one: looked at before the driver does, whose
 * error would carry the whole URL, and with it the password.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidSetting } from "effect-cancellation"

/**
 * Dies of a URL that cannot be used: named by its option, and never shown.
 *
 * A password with a `#`, `/` or `?` that is not encoded is told from the other parts of a URL only
 * where they would hardly look so. Not told is `postgres://app:p@ss/word@host`: it may as well lead
 * to the database `word@host` of the server `ss`, whose name an error then shows.
 */
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
    // in a container there is none, which it finds out at the first statement. An empty name it would
    // take as one.
    const { url, username = saidBy(url).username } = options
    if (username !== undefined && username !== "") return Effect.void
    if (url !== undefined && username === undefined) {
      return refuse(
        "url",
        redacted,
        "a URL that names the user, such as postgres://user@host/database"
      )
    }
    const given = username === undefined ? "undefined" : '""'
    return refuse("username", given, "the name of a user of the database")
  })

interface UrlSettings {
  readonly host?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly database?: string | undefined
  /** Of a parameter that is there several times, the last one counts. */
  readonly param: (name: string) => string | undefined
}

/** What a URL says, as the driver reads it; nothing if there is none, or it cannot be read. */
export const saidBy = (url: Redacted.Redacted | undefined): UrlSettings => {
  const text = url === undefined ? "" : Redacted.value(url)
  if (!URL.canParse(text)) return { param: () => undefined }
  const { hostname, password, pathname, searchParams, username } = new URL(text)
  const param = (name: string) => searchParams.getAll(name).at(-1)
  return {
    host: param("host") ?? decoded(hostname),
    // An empty name is none.
    username: (param("user") ?? decoded(username)) || undefined,
    password: param("password") ?? decoded(password),
    database: param("dbname") ?? decoded(pathname.replace(/^\//, "")),
    param
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
  const parts = partsOf(text)
  if (url === undefined ? endsInNoPort(parts) : isCutShort(url, parts)) {
    // Said of both, since a URL that is meant as it stands can be written so too.
    return `a URL in which a ${parts.cut} in a user or password is written ${encodeURIComponent(parts.cut)}, and an @ after the host %40`
  }
  if (url === undefined) return "a URL such as postgres://user:password@host:5432/database"
  const isEncoded = [url.hostname, url.pathname, url.username, url.password].every(
    (part) => part === "" || decoded(part) !== undefined
  )
  return isEncoded ? undefined : "a URL in which a % in a user or password is written %25"
}

interface Parts {
  /** Users, passwords, hosts and ports: up to the first `#`, `/` or `?`. */
  readonly authority: string
  readonly cut: string
  readonly path: string
  readonly query: string
  readonly hash: string
}

// As they stand there: whether an `@` is encoded makes the difference.
const partsOf = (text: string): Parts => {
  const rest = text.slice(text.indexOf("//") + 2)
  const [, authority = "", path = "", query = "", hash = ""] =
    /^([^#/?]*)([^#?]*)([^#]*)(.*)$/s.exec(rest) ?? []
  return { authority, cut: rest.slice(authority.length, authority.length + 1), path, query, hash }
}

// `user:pass` is read as a host and its port. A port of digits after a user is wrong by itself.
const endsInNoPort = ({ authority, hash, path, query }: Parts): boolean =>
  !/@.*:\d+$/.test(authority) && `${path}${query}${hash}`.includes("@")

// A `#`, `/` or `?` in a password ends what is before the host: the rest of the password would be
// taken for something else, and part of it for the name of a host, which errors tell. What has no
// colon before it is no password, and an address is no user.
const isCutShort = (url: URL, { authority, hash, path, query }: Parts): boolean =>
  authority.includes(":") &&
  !/^(localhost|\[.*\]|(\d+\.){3}\d+)$/i.test(url.hostname) &&
  (hash.includes("@") ||
    // With a user before it, a database may well have an @; one that goes on like a host does not.
    (authority.includes("@") ? /@[^/]*\//.test(path) : path.includes("@")) ||
    query
      .slice(1)
      .split("&")
      .some((param) => param.includes("@") && !mayHoldAt.test(param)))

// Other parameters, which are not used here, hardly have an @ in their values.
const mayHoldAt =
  /^(user|password|host|dbname|options|(fallback_)?application_name|passfile|ssl(cert|key|rootcert))=/

const decoded = (part: string): string | undefined => {
  try {
    return part === "" ? undefined : decodeURIComponent(part)
  } catch {
    return undefined
  }
}
