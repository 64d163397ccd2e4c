import * as Layer from "effect/Layer"
import { MessageRepo } from "effect-cancellation"
import { Migrations, SqlMessageStore } from "effect-cancellation-sql"
import * as SqliteClient from "effect-cancellation-sql/SqliteClient"

/** Runs in a file of SQLite, stops by this signal. */
export const sqliteRepo = (filename: string, signal: Layer.Layer<never>) =>
  MessageRepo.layer().pipe(
    Layer.provide([SqlMessageStore.layer(), signal]),
    Layer.provide(Migrations.layer),
    Layer.provide(SqliteClient.layer({ filename }))
  )
