/**
 * The layer of a SQLite store.
 */
import * as Layer from "effect/Layer"
import type { MessageStore } from "effect-cancellation"
import type { SqliteOptions } from "../sqlite.ts"

export const sqliteLayer = async (
  filename: string,
  { migrate = true, tombstoneTtl }: SqliteOptions
): Promise<Layer.Layer<MessageStore, unknown>> => {
  const { Migrations } = await import("effect-cancellation-sql")
  const Sqlite = await import("effect-cancellation-sql/Sqlite")
  return Layer.provideMerge(
    migrate ? Migrations.layer : Layer.empty,
    Sqlite.layer({ filename, tombstoneTtl })
  )
}
