/** Stops in a file, for processes that share them. */
import * as Layer from "effect/Layer"
import { Migrations, SqlMessageStore } from "effect-cancellation-sql"
import * as SqliteClient from "effect-cancellation-sql/SqliteClient"
import { complete, storeOf } from "../src/internal/source.ts"

export const storeInFile = (filename: string) =>
  storeOf({
    name: "file",
    supports: complete,
    load: async () =>
      SqlMessageStore.layer().pipe(
        Layer.provide(Migrations.layer),
        Layer.provide(SqliteClient.layer({ filename }))
      )
  })
