// The files of the folder `migrations`, for people with a tool of their own.
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
import { files } from "../scripts/migrations.ts"
import { Migrations } from "../src/index.ts"
import * as SqliteClient from "../src/SqliteClient.ts"
import { runFile, schemaOf } from "./migrations.fixture.ts"
import { temporaryFolder } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

const folder = path.join(import.meta.dirname, "..", "migrations")

const newSqlite = Layer.unwrap(
  Effect.map(temporaryFolder, (made) =>
    SqliteClient.layer({ filename: path.join(made, "test.sqlite") })
  )
)

it("the files are what the script would write, and no others are there", () => {
  const written = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".sql"))
    .map((name) => name.replaceAll("\\", "/"))
  assert.deepStrictEqual(written.toSorted(), Array.from(files.keys()).toSorted())
  for (const [name, text] of files) {
    assert.strictEqual(readFileSync(path.join(folder, name), "utf8"), text, name)
  }
})

for (const [database, where, client] of [
  ["PostgreSQL", "postgresql", Postgres.layer({ maxConnections: 1 })],
  ["SQLite", "sqlite", newSqlite]
] as const) {
  const names = Array.from(files.keys()).filter((name) => name.startsWith(`${where}/0`))

  describe(`the files of ${database}`, () => {
    it.live("make what the migrator makes", () =>
      Effect.gen(function* () {
        for (const name of names) yield* runFile(path.join(folder, name))
        assert.deepStrictEqual(yield* Migrations.run, [])
        const byFiles = yield* schemaOf
        const byMigrator = yield* Effect.andThen(Migrations.run, schemaOf).pipe(
          Effect.provide(Layer.fresh(client))
        )
        assert.deepStrictEqual(byFiles, byMigrator)
        const noted = yield* (yield* SqlClient.SqlClient)`
          SELECT migration_id, name FROM effect_cancellation_migrations ORDER BY migration_id`
        assert.deepStrictEqual(noted.map(Object.values), [
          [1, "runs"],
          [2, "messages"]
        ])
      }).pipe(Effect.provide(client))
    )

    it.live("and the migrator do no work twice", () =>
      Effect.gen(function* () {
        const [first = ""] = names
        yield* runFile(path.join(folder, first))
        assert.deepStrictEqual(yield* Migrations.run, [[2, "messages"]])
        const before = yield* schemaOf
        for (const name of names) {
          yield* Effect.flip(runFile(path.join(folder, name)))
          yield* (yield* SqlClient.SqlClient).unsafe("ROLLBACK")
        }
        assert.deepStrictEqual(yield* schemaOf, before)
        assert.deepStrictEqual(yield* Migrations.run, [])
      }).pipe(Effect.provide(client))
    )
  })
}
