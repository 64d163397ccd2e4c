/**
 * The layer of a PostgreSQL store: on a URL, or on a pool of the program's own.
 */
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { MessageStore } from "effect-cancellation"
import type { PostgresOptions, PostgresPool } from "../postgres.ts"

export const postgresLayer = async (
  database: string | PostgresPool,
  { listen = true, listenUrl, migrate = true, notify, tombstoneTtl }: PostgresOptions
): Promise<Layer.Layer<MessageStore, unknown>> => {
  const { Migrations, SqlMessageStore } = await import("effect-cancellation-sql")
  const tables = migrate ? Migrations.layer : Layer.empty
  const listenAt = listenUrl === undefined ? undefined : Redacted.make(listenUrl)
  if (typeof database === "string") {
    const Postgres = await import("effect-cancellation-sql/Postgres")
    const url = Redacted.make(database)
    return Layer.provideMerge(
      tables,
      Postgres.layer({ url, listen, listenUrl: listenAt, notify, tombstoneTtl })
    )
  }
  const PgStopSignal = await import("effect-cancellation-sql/PgStopSignal")
  const { listeningClient, poolClient } = await import("./pgPool.ts")
  const signal =
    notify === false || !listen
      ? Layer.empty
      : Layer.provide(
          PgStopSignal.layer({ listenUrl: listenAt, channel: notify }),
          listeningClient(database)
        )
  return Layer.mergeAll(SqlMessageStore.layer({ tombstoneTtl, notify }), signal).pipe(
    Layer.provide(tables),
    Layer.provide(poolClient(database))
  )
}
