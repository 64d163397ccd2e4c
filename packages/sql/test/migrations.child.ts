// A program that brings the tables up to date as soon as it is let loose.
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Migrations from "../src/Migrations.ts"
import * as SqliteClient from "../src/SqliteClient.ts"
import { answer, letLoose } from "./storm.children.ts"

const [kind, where = ""] = process.argv.slice(2)

const client =
  kind === "pg"
    ? PgClient.layer({ url: Redacted.make(where) })
    : SqliteClient.layer({ filename: where })

await Effect.runPromise(
  Effect.gen(function* () {
    yield* letLoose
    yield* answer(yield* Migrations.run)
  }).pipe(Effect.provide(client))
)
