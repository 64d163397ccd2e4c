/**
 * Stops in a file of SQLite, by Node's own `node:sqlite`.
 *
 * @since 0.1.0
 */
import { positive } from "./internal/settings.ts"
import { complete, storeOf } from "./internal/source.ts"
import type { StopStore } from "./StopStore.ts"

/**
 * How the file is used.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqliteOptions {
  /** Makes the tables where they are missing, and brings them up to date. Default true. */
  readonly migrate?: boolean | undefined
  /** How long a stop waits for a run that has not begun, in milliseconds. Default 30,000. */
  readonly tombstoneTtl?: number | undefined
}

/**
 * A store in a file, which is made if there is none; its folder must be there. Several processes may
 * share it: they find each other's stops by polling, or at once beside a signal.
 *
 * Needs a Node with `node:sqlite`: 22.16 or later of 22, or 24 or later.
 *
 * ```ts
 * import { createStops } from "effect-cancellation-promise"
 * import { sqlite } from "effect-cancellation-promise/sqlite"
 *
 * const stops = createStops({ store: sqlite("stops.sqlite") })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const sqlite = (filename: string, options: SqliteOptions = {}): StopStore => {
  positive("tombstoneTtl", options.tombstoneTtl)
  if (typeof filename !== "string" || filename === "") {
    throw new TypeError('sqlite() needs the name of a file, such as "stops.sqlite".')
  }
  return storeOf({
    name: "The SQLite store",
    supports: complete,
    load: async () => (await import("./internal/sqliteLayer.ts")).sqliteLayer(filename, options)
  })
}
