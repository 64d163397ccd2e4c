/**
 * The tables of the adapter, made on first use.
 *
 * The transactions of the client are immediate, so of two processes that start at once the second
 * waits for the first and finds its work done.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Migrator, SqlClient, type SqlError } from "effect/sql"
import { retryBusy } from "./SqliteClient.ts"

const runs = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE agent_runs (
    sequence INTEGER PRIMARY KEY,
    company_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    owner TEXT,
    started_at INTEGER NOT NULL,
    current INTEGER NOT NULL,
    user_aborted_at INTEGER,
    stop_reason TEXT,
    stop_requested_by TEXT,
    stop_note TEXT,
    observed_at INTEGER,
    ended_at INTEGER,
    outcome TEXT
  ) STRICT`
  yield* sql`CREATE UNIQUE INDEX agent_runs_key
    ON agent_runs (company_id, user_id, chat_id, message_id, run_id)`
  yield* sql`CREATE UNIQUE INDEX agent_runs_current
    ON agent_runs (company_id, user_id, chat_id, message_id) WHERE current = 1`
  yield* sql`CREATE INDEX agent_runs_running ON agent_runs (company_id, owner) WHERE outcome IS NULL`
  yield* sql`CREATE INDEX agent_runs_ended ON agent_runs (ended_at) WHERE ended_at IS NOT NULL`

  // A stop aimed at a chat has no message and no run, one aimed at a message no run: '' is no id.
  yield* sql`CREATE TABLE agent_tombstones (
    company_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    user_aborted_at INTEGER NOT NULL,
    stop_reason TEXT NOT NULL,
    stop_requested_by TEXT,
    stop_note TEXT,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (company_id, user_id, chat_id, message_id, run_id)
  ) STRICT, WITHOUT ROWID`

  yield* sql`CREATE TABLE agent_leases (
    owner TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`
})

const messages = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE chat_messages (
    sequence INTEGER PRIMARY KEY,
    company_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    original_text TEXT,
    "references" TEXT,
    debug_info TEXT,
    segment_kind TEXT,
    writer TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    stopped_streaming_at INTEGER,
    completed_at INTEGER
  ) STRICT`
  yield* sql`CREATE UNIQUE INDEX chat_messages_key
    ON chat_messages (company_id, user_id, chat_id, message_id)`
})

const table = "effect_cancellation_migrations"
// Numbered from 1, without a gap.
const known = { "1_runs": runs, "2_messages": messages }

class MadeByNewer extends Data.TaggedError("MadeByNewer")<{ readonly message: string }> {}

// SQLite opens a file that is read-only without a word, and even begins an immediate transaction on
// it. Only what writes fails; the same version again changes nothing.
const tryToWrite = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly user_version: number }>`PRAGMA user_version`
  yield* sql`PRAGMA user_version = ${sql.literal(String(row?.user_version ?? 0))}`
})

// What a newer version has made may mean something else than this one reads in it.
const refuseNewer = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly newest: number }>`
    SELECT max(migration_id) AS newest FROM ${sql(table)}`
  if ((row?.newest ?? 0) <= Object.keys(known).length) return
  return yield* new MadeByNewer({
    message: "a newer version of this program has made it; use that one, or another file."
  })
})

const migrate = Migrator.make({})({ table, loader: Migrator.fromRecord(known) })

/** Brings the file up to date before anything that is built on this layer. */
export const layer: Layer.Layer<
  never,
  Migrator.MigrationError | SqlError.SqlError | MadeByNewer,
  SqlClient.SqlClient
> = Layer.effectDiscard(
  retryBusy(tryToWrite).pipe(Effect.andThen(retryBusy(migrate)), Effect.andThen(refuseNewer))
)
