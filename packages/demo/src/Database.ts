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

/**
 * What a person may be told of it: a URL holds a password. Only for a URL that `Postgres.layer` has
 * taken: of another one this may be a part of the password.
 */
export const nameOf = (database: Database): string => {
  if (database._tag === "Sqlite") return database.file
  return database.folder === undefined
    ? `PostgreSQL at ${placeOf(new URL(Redacted.value(database.url)))}`
    : `PostgreSQL in ${database.folder}`
}

// What a parameter says counts, and the last one of a name, as for the driver.
const placeOf = (url: URL): string => {
  const says = (name: string) => url.searchParams.getAll(name).at(-1)
  const host = says("host") ?? (decodeURIComponent(url.hostname) || "localhost")
  const port = says("port") ?? (url.port || "5432")
  const database = says("dbname") ?? decodeURIComponent(url.pathname.slice(1))
  return `${host}:${port}${database === "" ? "" : `/${database}`}`
}
