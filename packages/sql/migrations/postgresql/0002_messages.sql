-- effect-cancellation-sql, migration 2 of 2. Run each file once, in their order: the second time
-- it fails at its note, and changes nothing. Or use Migrations.run, or both: it does what no file has.
BEGIN;
CREATE TABLE IF NOT EXISTS "effect_cancellation_migrations" (
  migration_id integer primary key,
  created_at timestamp with time zone not null default now(),
  name text not null
);
INSERT INTO "effect_cancellation_migrations" (migration_id, name) VALUES (2, 'messages');
CREATE TABLE agent_messages (
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  message_key text NOT NULL,
  company_id text NOT NULL,
  user_id text NOT NULL,
  chat_id text NOT NULL,
  message_id text NOT NULL,
  role text NOT NULL,
  text text NOT NULL,
  original_text text,
  "references" text,
  debug_info text,
  segment_kind text,
  writer text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  stopped_streaming_at timestamptz,
  completed_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX agent_messages_key ON agent_messages (message_key);
CREATE INDEX agent_messages_chat ON agent_messages (company_id, chat_id);
COMMIT;
