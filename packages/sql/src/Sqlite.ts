/**
 * Everything on a file of SQLite in one layer: runs and stops, and texts.
 *
 * Several processes may share the file. Stops reach other processes by polling; within this one they
 * are announced in memory.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import { type MessageContent, type MessageStore, StopSignal } from "effect-cancellation"
import type { SqlClient, SqlError } from "effect/sql"
import * as SqliteClient from "./SqliteClient.ts"
import * as SqlMessageContent from "./SqlMessageContent.ts"
import * as SqlMessageStore from "./SqlMessageStore.ts"

/**
 * Where the file is, and how it is used.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqliteOptions {
  /** The file, made if there is none; its folder must be there. */
  readonly filename: string
  /** How long a stop waits for a run that has not begun. Default 30 seconds. */
  readonly tombstoneTtl?: Duration.Input | undefined
}

/**
 * The ports on a file. The tables must be there: see `Migrations`.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { Migrations } from "effect-cancellation-sql"
 * import * as Sqlite from "effect-cancellation-sql/Sqlite"
 *
 * const Stores = Migrations.layer.pipe(
 *   Layer.provideMerge(Sqlite.layer({ filename: "stops.sqlite" }))
 * )
 * const Repo = MessageRepo.layer().pipe(Layer.provide(Stores))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({
  filename,
  tombstoneTtl
}: SqliteOptions): Layer.Layer<
  MessageStore | MessageContent | SqlClient.SqlClient,
  SqlError.SqlError
> =>
  Layer.mergeAll(
    SqlMessageStore.layer({ tombstoneTtl }),
    SqlMessageContent.layer,
    StopSignal.layerMemory
  ).pipe(Layer.provideMerge(SqliteClient.layer({ filename })))
