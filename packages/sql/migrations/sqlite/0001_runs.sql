-- effect-cancellation-sql, migration 1 of 2. Run each file once, in their order: the second time
-- it fails at its note, and changes nothing. Or use Migrations.run, or both: it does what no file has.
BEGIN;
CREATE TABLE IF NOT EXISTS "effect_cancellation_migrations" (
  migration_id integer PRIMARY KEY NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp,
  name VARCHAR(255) NOT NULL
);
INSERT INTO "effect_cancellation_migrations" (migration_id, name) VALUES (1, 'runs');
CREATE TABLE agent_runs (
  sequence INTEGER PRIMARY KEY,
  run_key TEXT NOT NULL,
  message_key TEXT NOT NULL,
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
) STRICT;
CREATE UNIQUE INDEX agent_runs_key ON agent_runs (run_key);
CREATE INDEX agent_runs_message ON agent_runs (message_key);
CREATE UNIQUE INDEX agent_runs_current ON agent_runs (message_key) WHERE current = TRUE;
CREATE INDEX agent_runs_chat ON agent_runs (company_id, chat_id);
CREATE INDEX agent_runs_running ON agent_runs (company_id, chat_id) WHERE outcome IS NULL;
CREATE INDEX agent_runs_ended ON agent_runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE agent_tombstones (
  target_key TEXT NOT NULL PRIMARY KEY,
  company_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  chat_id TEXT NOT NULL,
  user_aborted_at INTEGER NOT NULL,
  stop_reason TEXT NOT NULL,
  stop_requested_by TEXT,
  stop_note TEXT,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE agent_leases (
  owner TEXT NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT;
COMMIT;
