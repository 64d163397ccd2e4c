/**
 * The statements that make the tables, for each database, in the order of their migrations.
 *
 * The files in the package's `migrations` folder are made of these, each to be run once, in their
 * order. A migration that has been published is never changed: what comes later is one of its own.
 */

/** A migration: its name, without its number, and its statements. */
export interface MigrationSource {
  readonly name: string
  readonly statements: ReadonlyArray<string>
}

interface Types {
  readonly sequence: string
  readonly text: string
  readonly time: string
  readonly boolean: string
  /** What follows the columns. */
  readonly table: string
  /** The same for a table whose rows change: room on their pages spares the indexes the change. */
  readonly changing: string
}

const runs = ({ boolean, changing, sequence, table, text, time }: Types): ReadonlyArray<string> => [
  `CREATE TABLE agent_runs (
  sequence ${sequence},
  run_key ${text} NOT NULL,
  message_key ${text} NOT NULL,
  company_id ${text} NOT NULL,
  user_id ${text} NOT NULL,
  chat_id ${text} NOT NULL,
  message_id ${text} NOT NULL,
  run_id ${text} NOT NULL,
  owner ${text},
  started_at ${time} NOT NULL,
  current ${boolean} NOT NULL,
  user_aborted_at ${time},
  stop_reason ${text},
  stop_requested_by ${text},
  stop_note ${text},
  observed_at ${time},
  ended_at ${time},
  outcome ${text}
)${changing}`,
  "CREATE UNIQUE INDEX agent_runs_key ON agent_runs (run_key)",
  "CREATE INDEX agent_runs_message ON agent_runs (message_key)",
  "CREATE UNIQUE INDEX agent_runs_current ON agent_runs (message_key) WHERE current = TRUE",
  "CREATE INDEX agent_runs_chat ON agent_runs (company_id, chat_id)",
  "CREATE INDEX agent_runs_running ON agent_runs (company_id, chat_id) WHERE outcome IS NULL",
  "CREATE INDEX agent_runs_ended ON agent_runs (ended_at) WHERE ended_at IS NOT NULL",
  `CREATE TABLE agent_tombstones (
  target_key ${text} NOT NULL PRIMARY KEY,
  company_id ${text} NOT NULL,
  user_id ${text} NOT NULL,
  chat_id ${text} NOT NULL,
  user_aborted_at ${time} NOT NULL,
  stop_reason ${text} NOT NULL,
  stop_requested_by ${text},
  stop_note ${text},
  expires_at ${time} NOT NULL
)${table}`,
  `CREATE TABLE agent_leases (
  owner ${text} NOT NULL PRIMARY KEY,
  expires_at ${time} NOT NULL
)${table}`
]

const messages = ({ changing, sequence, text, time }: Types): ReadonlyArray<string> => [
  `CREATE TABLE agent_messages (
  sequence ${sequence},
  message_key ${text} NOT NULL,
  company_id ${text} NOT NULL,
  user_id ${text} NOT NULL,
  chat_id ${text} NOT NULL,
  message_id ${text} NOT NULL,
  role ${text} NOT NULL,
  text ${text} NOT NULL,
  original_text ${text},
  "references" ${text},
  debug_info ${text},
  segment_kind ${text},
  writer ${text},
  created_at ${time} NOT NULL,
  updated_at ${time} NOT NULL,
  stopped_streaming_at ${time},
  completed_at ${time}
)${changing}`,
  "CREATE UNIQUE INDEX agent_messages_key ON agent_messages (message_key)",
  "CREATE INDEX agent_messages_chat ON agent_messages (company_id, chat_id)"
]

const migrations = (types: Types): ReadonlyArray<MigrationSource> => [
  { name: "runs", statements: runs(types) },
  { name: "messages", statements: messages(types) }
]

/** Of PostgreSQL. */
export const postgres = migrations({
  sequence: "bigint GENERATED ALWAYS AS IDENTITY",
  text: "text",
  time: "timestamptz",
  boolean: "boolean",
  table: "",
  changing: " WITH (fillfactor = 70)"
})

/** Of SQLite: times are milliseconds since 1970, and true is 1. */
export const sqlite = migrations({
  sequence: "INTEGER PRIMARY KEY",
  text: "TEXT",
  time: "INTEGER",
  boolean: "INTEGER",
  table: " STRICT",
  changing: " STRICT"
})
