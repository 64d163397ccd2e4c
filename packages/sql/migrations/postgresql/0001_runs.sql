-- effect-cancellation-sql, migration 1 of 2. Run each file once, in their order: the second time
-- it fails at its note, and changes nothing. Or use Migrations.run, or both: it does what no file has.
BEGIN;
CREATE TABLE IF NOT EXISTS "effect_cancellation_migrations" (
  migration_id integer primary key,
  created_at timestamp with time zone not null default now(),
  name text not null
);
INSERT INTO "effect_cancellation_migrations" (migration_id, name) VALUES (1, 'runs');
CREATE TABLE agent_runs (
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  run_key text NOT NULL,
  message_key text NOT NULL,
  company_id text NOT NULL,
  user_id text NOT NULL,
  chat_id text NOT NULL,
  message_id text NOT NULL,
  run_id text NOT NULL,
  owner text,
  started_at timestamptz NOT NULL,
  current boolean NOT NULL,
  user_aborted_at timestamptz,
  stop_reason text,
  stop_requested_by text,
  stop_note text,
  observed_at timestamptz,
  ended_at timestamptz,
  outcome text
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX agent_runs_key ON agent_runs (run_key);
CREATE INDEX agent_runs_message ON agent_runs (message_key);
CREATE UNIQUE INDEX agent_runs_current ON agent_runs (message_key) WHERE current = TRUE;
CREATE INDEX agent_runs_chat ON agent_runs (company_id, chat_id);
CREATE INDEX agent_runs_running ON agent_runs (company_id, chat_id) WHERE outcome IS NULL;
CREATE INDEX agent_runs_ended ON agent_runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE agent_tombstones (
  target_key text NOT NULL PRIMARY KEY,
  company_id text NOT NULL,
  user_id text NOT NULL,
  chat_id text NOT NULL,
  user_aborted_at timestamptz NOT NULL,
  stop_reason text NOT NULL,
  stop_requested_by text,
  stop_note text,
  expires_at timestamptz NOT NULL
);
CREATE TABLE agent_leases (
  owner text NOT NULL PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
COMMIT;
