/**
 * Where Redis is, as a URL says it. Looked at before the client does, whose error would carry the
 * whole URL, and with it the password.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidSetting } from "effect-cancellation"

/** Certificates, in the PEM format. */
export interface Certificates {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted | undefined
}

export interface RedisServer {
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  readonly password: Redacted.Redacted | undefined
  /** None without TLS. */
  readonly tls: Certificates | undefined
}

/** Dies of a URL that cannot be used, which is never shown. */
export const serverOf = (
  url: Redacted.Redacted,
  certificates: Certificates | undefined
): Effect.Effect<RedisServer> =>
  Effect.suspend(() => {
    const server = read(Redacted.value(url), certificates)
    if (server === undefined) {
      return invalid(
        "url",
        "a URL such as redis://user:password@host:6379, or rediss:// for TLS, in which #, /, ? and % in a user or password are written %23, %2F, %3F and %25"
      )
    }
    return certificates !== undefined && server.tls === undefined
      ? invalid("url", "a URL that begins with rediss:// where tls is set")
      : Effect.succeed(server)
  })

const invalid = (option: string, range: string) =>
  Effect.die(new InvalidSetting({ option, value: "<redacted>", range }))

const read = (text: string, certificates: Certificates = {}): RedisServer | undefined => {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return undefined
  const { hash, hostname, password, pathname, port, protocol, search, username } = new URL(text)
  // A #, / or ? in a password ends what is before the host: the rest of it would be taken for
  // something else, and its beginning for the name of a host, which errors tell. The number of a
  // database may be there, and means nothing: channels belong to none.
  if (hash !== "" || !/^(\/\d*)?$/.test(pathname) || search !== "") return undefined
  const [user, secret] = [decoded(username), decoded(password)]
  if (hostname === "" || user === undefined || secret === undefined) return undefined
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? 6379 : Number(port),
    username: user === "" ? undefined : user,
    password: secret === "" ? undefined : Redacted.make(secret),
    tls: protocol === "rediss:" ? certificates : undefined
  }
}

const decoded = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
