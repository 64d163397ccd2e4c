/** The files of the folder `migrations` and what is in them. */
import { type MigrationSource, postgres, sqlite } from "../src/internal/schema.ts"
import { table } from "../src/Migrations.ts"
import { rights } from "./rights.ts"

// As the migrator makes it, to the letter: SQLite keeps the text.
const ofPostgres = `CREATE TABLE IF NOT EXISTS "${table}" (
  migration_id integer primary key,
  created_at timestamp with time zone not null default now(),
  name text not null
)`
const ofSqlite = `CREATE TABLE IF NOT EXISTS "${table}" (
  migration_id integer PRIMARY KEY NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp,
  name VARCHAR(255) NOT NULL
)`

// The note comes first: of two that run the file at the same time the second one fails there.
const written = (folder: string, notes: string, sources: ReadonlyArray<MigrationSource>) =>
  sources.map(({ name, statements }, index) => {
    const id = index + 1
    const text = [
      `-- effect-cancellation-sql, migration ${id} of ${sources.length}. Run each file once, in their order: the second time`,
      "-- it fails at its note, and changes nothing. Or use Migrations.run, or both: it does what no file has.",
      "BEGIN;",
      `${notes};`,
      `INSERT INTO "${table}" (migration_id, name) VALUES (${id}, '${name}');`,
      ...statements.map((statement) => `${statement};`),
      "COMMIT;",
      ""
    ].join("\n")
    return [`${folder}/${String(id).padStart(4, "0")}_${name}.sql`, text] as const
  })

/** By their names in the folder. */
export const files: ReadonlyMap<string, string> = new Map([
  ...written("postgresql", ofPostgres, postgres),
  ...written("sqlite", ofSqlite, sqlite),
  ["postgresql/rights.sql", rights]
])
