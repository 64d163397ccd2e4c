import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { MessageRepo } from "effect-cancellation"
import { Migrations, SqlMessageStore } from "effect-cancellation-sql"
import * as SqliteClient from "effect-cancellation-sql/SqliteClient"
import { RedisStopSignal } from "../src/index.ts"

/** Runs in a file of SQLite, stops by Redis. */
export const sqliteRepo = (options: {
  readonly filename: string
  readonly url: Redacted.Redacted
  readonly channel: string
}) =>
  MessageRepo.layer().pipe(
    Layer.provide([
      SqlMessageStore.layer(),
      RedisStopSignal.layer({ url: options.url, channel: options.channel })
    ]),
    Layer.provide(Migrations.layer),
    Layer.provide(SqliteClient.layer({ filename: options.filename }))
  )
