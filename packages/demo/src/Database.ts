/**
 * Where the demo keeps its data.
 */
import * as Redacted from "effect/Redacted"

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

/** The URL of a PostgreSQL server, if it is one. */
export const parseUrl = (text: string): Redacted.Redacted | undefined =>
  isPostgres(text) ? Redacted.make(text) : undefined

const isPostgres = (text: string): boolean => {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  try {
    for (const part of [url.hostname, url.pathname, url.username, url.password]) {
      decodeURIComponent(part)
    }
    return /^postgres(ql)?:$/.test(url.protocol)
  } catch {
    return false
  }
}

// What a parameter says counts, as it does for the driver.
const placeOf = (url: URL): string => {
  const says = (name: string) => url.searchParams.get(name)
  const host = says("host") ?? (decodeURIComponent(url.hostname) || "localhost")
  const port = says("port") ?? (url.port || "5432")
  const database = says("dbname") ?? decodeURIComponent(url.pathname.slice(1))
  return `${host}:${port}${database === "" ? "" : `/${database}`}`
}
