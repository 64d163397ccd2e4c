/**
 * Everything on PostgreSQL in one layer: runs and stops, texts, and push by LISTEN/NOTIFY.
 *
 * A program that has a `PgClient` of its own takes the parts instead: `SqlMessageStore.layer()`,
 * `SqlMessageContent.layer` and `PgStopSignal.layer()`.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { MessageContent, MessageStore } from "effect-cancellation"
import type { SqlClient, SqlError } from "effect/sql"
import { checkUrl, checkUser } from "./internal/postgresUrl.ts"
import * as PgStopSignal from "./PgStopSignal.ts"
import * as SqlMessageContent from "./SqlMessageContent.ts"
import * as SqlMessageStore from "./SqlMessageStore.ts"

/**
 * Where the database is, and how it is used: everything a `PgClient` takes, and the settings below.
 * A value that cannot work kills the layer with `InvalidSetting`, which never shows a URL: so does
 * a URL that names no user, unless `username` does.
 *
 * In a URL a `#`, `/`, `?` or `%` of a password must be percent-encoded. Where it is not, and that
 * cannot be told from another URL that is meant as it stands (`postgres://app:p@ss/word@host`), errors
 * may show the part of the password that is taken for a host.
 *
 * @category models
 * @since 0.1.0
 */
export interface PostgresOptions extends PgClient.PgPoolConfig {
  /** How long a stop waits for a run that has not begun. Default 30 seconds. */
  readonly tombstoneTtl?: Duration.Input | undefined
  /**
   * Where to listen for stops, if not where the store is: straight to the server, when a pooler
   * that shares connections between transactions stands in front of it. What it leaves open is as
   * for the store: see `listenUrl` of `PgStopSignalOptions`.
   */
  readonly listenUrl?: Redacted.Redacted | undefined
  /**
   * Whether this process hears of stops. One that runs no agents, and only takes stops, need not: it
   * saves a connection. Default true.
   */
  readonly listen?: boolean | undefined
  /** The channel on which stops are announced; `false` is polling alone. Default `effect_cancellation`. */
  readonly notify?: string | false | undefined
}

/**
 * The ports on a pool of their own. The tables must be there: see `Migrations`.
 *
 * Dead connections are found by TCP's keep-alive (`keepAlive`, here 5 seconds by default).
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { MessageRepo } from "effect-cancellation"
 * import { Migrations } from "effect-cancellation-sql"
 * import * as Postgres from "effect-cancellation-sql/Postgres"
 *
 * const Stores = Migrations.layer.pipe(
 *   Layer.provideMerge(Postgres.layer({ url: Redacted.make("postgres://app@localhost/app") }))
 * )
 * const Repo = MessageRepo.layer().pipe(Layer.provide(Stores))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({
  listen = true,
  listenUrl,
  notify,
  tombstoneTtl,
  ...pool
}: PostgresOptions): Layer.Layer<
  MessageStore | MessageContent | PgClient.PgClient | SqlClient.SqlClient,
  SqlError.SqlError
> =>
  Layer.mergeAll(
    SqlMessageStore.layer({ tombstoneTtl, notify }),
    SqlMessageContent.layer,
    notify === false || !listen ? Layer.empty : PgStopSignal.layer({ listenUrl, channel: notify })
  ).pipe(
    Layer.provideMerge(
      PgClient.layer({ applicationName: "effect-cancellation", keepAlive: "5 seconds", ...pool })
    ),
    // The driver would find it out at the first statement, in words that show the URL.
    Layer.provide(Layer.effectDiscard(Effect.suspend(() => checked(pool))))
  )

const checked = Effect.fnUntraced(function* (pool: PgClient.PgPoolConfig) {
  if (pool.url !== undefined) yield* checkUrl("url", pool.url)
  yield* checkUser(pool)
})
