/**
 * Stops in PostgreSQL, announced to other processes by LISTEN and NOTIFY.
 *
 * @since 0.1.0
 */
import { complete, storeOf } from "./internal/source.ts"
import { positive } from "./internal/settings.ts"
import type { StopStore } from "./StopStore.ts"

/**
 * What is used of a `pg.Pool`: one of `pg` 8 fits as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface PostgresPool {
  readonly connect: () => Promise<PostgresPoolClient>
  /** The settings it was made with: the connection that listens is opened by them. */
  readonly options: object
}

/**
 * A connection of a pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface PostgresPoolClient {
  readonly query: (config: {
    readonly text: string
    readonly values: Array<unknown>
    readonly rowMode?: "array"
  }) => Promise<{ readonly rows: Array<unknown>; readonly command: string }>
  readonly release: (destroy?: boolean) => void
  readonly on: (event: "error", listener: () => void) => unknown
  readonly off: (event: "error", listener: () => void) => unknown
}

/**
 * How the database is used.
 *
 * @category models
 * @since 0.1.0
 */
export interface PostgresOptions {
  /**
   * Makes the tables where they are missing, and brings them up to date. Default true; `false` for a
   * role that may not, with the statements of `effect-cancellation-sql/migrations` run beforehand.
   */
  readonly migrate?: boolean | undefined
  /** How long a stop waits for a run that has not begun, in milliseconds. Default 30,000. */
  readonly tombstoneTtl?: number | undefined
  /** The channel on which stops are announced; `false` is polling alone. Default `effect_cancellation`. */
  readonly notify?: string | false | undefined
  /** Whether this process hears of stops; one that runs no agents need not. Default true. */
  readonly listen?: boolean | undefined
  /** Where to listen, if a pooler that shares connections stands in front of the database. */
  readonly listenUrl?: string | undefined
}

/**
 * A store on a PostgreSQL database: its URL, or a pool that the program has already and goes on to
 * own. Who listens has a connection of its own, and beside a pool a second, to try whether it works.
 *
 * A pool needs its own `pool.on("error", …)`, as `pg` wants it: without one, an idle connection that
 * breaks ends the process. What its function for the password fails with is told in no error and in no
 * line, since it may hold the password: it is for that function to say.
 *
 * Throws a `TypeError` where there is no URL. A database that is away is tried again and again.
 *
 * ```ts
 * import { createStops } from "effect-cancellation-promise"
 * import { postgres } from "effect-cancellation-promise/postgres"
 *
 * const stops = createStops({ store: postgres(process.env.DATABASE_URL) })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const postgres = (
  database: string | URL | PostgresPool | undefined,
  options: PostgresOptions = {}
): StopStore => {
  positive("tombstoneTtl", options.tombstoneTtl)
  const found = databaseOf(database)
  return storeOf({
    name: "The PostgreSQL store",
    supports: { ...complete, hints: options.notify !== false },
    load: async () => (await import("./internal/postgresLayer.ts")).postgresLayer(found, options)
  })
}

// An undefined URL would lead to whatever database is on this machine.
const databaseOf = (database: string | URL | PostgresPool | undefined): string | PostgresPool => {
  if (typeof database === "object" && database !== null && "connect" in database) return database
  const url = String(database ?? "")
  if (url !== "") return url
  throw new TypeError(
    "postgres() needs a URL such as postgres://user@host/database, or a pg.Pool: is DATABASE_URL set?"
  )
}
