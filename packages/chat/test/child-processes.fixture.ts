/** What the processes of a test share: runs in a file of SQLite, and no signal. */
import * as Layer from "effect/Layer"
import { MessageRepo } from "effect-cancellation"
import { Migrations, SqlMessageStore } from "effect-cancellation-sql"
import * as SqliteClient from "effect-cancellation-sql/SqliteClient"

export const sqliteRepo = (filename: string) =>
  MessageRepo.layer().pipe(
    Layer.provide(SqlMessageStore.layer()),
    Layer.provide(Migrations.layer),
    Layer.provide(SqliteClient.layer({ filename }))
  )
