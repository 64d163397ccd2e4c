/**
 * The database of the demo: the two stores of `effect-cancellation-sql`, on SQLite or PostgreSQL.
 */
import { existsSync } from "node:fs"
import path from "node:path"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { InvalidSetting, type MessageContent, type MessageStore } from "effect-cancellation"
import { Migrations } from "effect-cancellation-sql"
import * as Postgres from "effect-cancellation-sql/Postgres"
import * as Sqlite from "effect-cancellation-sql/Sqlite"
import * as SqliteClient from "effect-cancellation-sql/SqliteClient"
import { SqlClient } from "effect/sql"
import * as ContentOutage from "./ContentOutage.ts"
import { type Database, nameOf } from "./Database.ts"
import { inWords } from "./DatabaseError.ts"
import { makeFolder } from "./Folder.ts"
import { Refusal } from "./Refusal.ts"
import { Settings } from "./Settings.ts"
import { SignsOfLife } from "./SignsOfLife.ts"

type Stores = Layer.Layer<MessageStore | MessageContent | SignsOfLife, Refusal, Settings>

/** For the server: makes the folder, the file and the tables where there are none. */
export const layer: Stores = Layer.unwrap(
  Effect.gen(function* () {
    const { database } = yield* Settings
    if (database._tag === "Sqlite") yield* makeFolder(path.dirname(database.file))
    return yield* open(database, Migrations.run)
  })
)

/** For the command line: refuses where there is no database, and makes none. */
export const layerExisting: Stores = Layer.unwrap(
  Effect.gen(function* () {
    const { database } = yield* Settings
    if (database._tag === "Postgres") {
      return yield* open(database, Effect.andThen(refuseWithoutTables(database), Migrations.run))
    }
    if (existsSync(database.file)) return yield* open(database, Migrations.run)
    return yield* new Refusal({
      line: `There is no database at ${database.file}. Has npm start run, with the same DEMO_DATA or DATABASE_URL?`
    })
  })
)

// First the tables, by a client of their own, which also finds out whether the URL can be used: what
// listens for stops would complain of a database that does not answer, in its own words.
const open = Effect.fnUntraced(function* <A, E extends { readonly message: string }>(
  database: Database,
  tables: Effect.Effect<A, E, SqlClient.SqlClient>
) {
  const refused = (error: Refusal | { readonly message: string }) =>
    error instanceof Refusal
      ? error
      : new Refusal({
          line: `The database cannot be used (${nameOf(database)}): ${inWords(error, settingOf(database))}`
        })
  const [client, stores] =
    database._tag === "Sqlite" ? sqlite(database.file) : postgres(database.url)
  yield* Effect.provide(tables, client, { local: true }).pipe(
    Effect.catchCause(settled),
    Effect.mapError(refused)
  )
  return Layer.mergeAll(ContentOutage.layer, SignsOfLife.layer).pipe(
    Layer.provideMerge(stores),
    Layer.catch((error) => Layer.effectContext(Effect.fail(refused(error))))
  )
})

// The variable that a person would change. A PostgreSQL of our own has none.
const settingOf = (database: Database): string | undefined =>
  database._tag === "Postgres" && database.folder === undefined ? "DATABASE_URL" : undefined

// What a layer dies of because of a setting is the person's to mend. Its value may be a password.
const settled = <E>(cause: Cause.Cause<E>): Effect.Effect<never, E | Refusal> => {
  const defect = Result.getOrUndefined(Cause.findDefect(cause))
  return defect instanceof InvalidSetting
    ? Effect.fail(
        new Refusal({
          line: `DATABASE_URL must be ${defect.range}. Without it the demo uses SQLite.`
        })
      )
    : Effect.failCause(cause)
}

const refuseWithoutTables = Effect.fnUntraced(function* (database: Database) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly found: string | null }>`
    SELECT to_regclass(${Migrations.table}) AS found`
  if (row?.found === null) {
    return yield* new Refusal({
      line: `There are no tables of the demo in ${nameOf(database)}. Has npm start run, with the same DATABASE_URL?`
    })
  }
})

const sqlite = (filename: string) =>
  [SqliteClient.layer({ filename }), Sqlite.layer({ filename })] as const

const postgres = (url: Redacted.Redacted) => {
  const options = { url, applicationName: "effect-cancellation-demo" }
  return [Postgres.layer({ ...options, listen: false }), Postgres.layer(options)] as const
}
