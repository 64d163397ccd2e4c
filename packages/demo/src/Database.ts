/**
 * Where the demo keeps its data.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

export type Database =
  | { readonly _tag: "Sqlite"; readonly file: string }
  | {
      readonly _tag: "Postgres"
      readonly url: Redacted.Redacted
      /** Where the server has its files, if it is our own. */
      readonly folder?: string
    }

/** What a person may be told of it: a URL holds a password. */
export const nameOf = (database: Database): string => {
  if (database._tag === "Sqlite") return database.file
  return database.folder === undefined
    ? `PostgreSQL at ${placeOf(new URL(Redacted.value(database.url)))}`
    : `PostgreSQL in ${database.folder}`
}

/** The URL of a PostgreSQL server, or what is wrong with it, which does not repeat it. */
export const parseUrl = (text: string): Result.Result<Redacted.Redacted, string> => {
  if (!URL.canParse(text)) return Result.fail("is not a URL")
  if (!/^\s*postgres(ql)?:\/\//i.test(text)) {
    return Result.fail("does not begin with postgres:// or postgresql://")
  }
  const url = new URL(text)
  try {
    for (const part of [url.hostname, url.pathname, url.username, url.password]) {
      decodeURIComponent(part)
    }
  } catch {
    return Result.fail("has a % that encodes nothing (a % itself is %25)")
  }
  if (isCutShort(url, text)) {
    return Result.fail("has a #, / or ? in its user or password that is not percent-encoded")
  }
  // The driver would take the name of whoever runs it, which is seldom meant and not always known.
  const user = url.searchParams.get("user") ?? url.username
  return user === "" ? Result.fail("names no user") : Result.succeed(Redacted.make(text))
}

// Such a character ends what is before the host, so the rest of the password would be taken for the
// name of a database or a parameter, which are shown.
const isCutShort = (url: URL, text: string): boolean =>
  url.hash !== "" ||
  url.pathname.includes("@") ||
  Array.from(url.searchParams.keys()).some((name) => name.includes("@")) ||
  (url.username === "" &&
    !url.searchParams.has("user") &&
    url.password === "" &&
    text.includes("@"))

// What a parameter says counts, as it does for the driver.
const placeOf = (url: URL): string => {
  const says = (name: string) => url.searchParams.get(name)
  const host = says("host") ?? (decodeURIComponent(url.hostname) || "localhost")
  const port = says("port") ?? (url.port || "5432")
  const database = says("dbname") ?? decodeURIComponent(url.pathname.slice(1))
  return `${host}:${port}${database === "" ? "" : `/${database}`}`
}
