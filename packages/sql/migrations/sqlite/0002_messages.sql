-- effect-cancellation-sql, migration 2 of 2. Run each file once, in their order: the second time
-- it fails at its note, and changes nothing. Or use Migrations.run, or both: it does what no file has.
BEGIN;
CREATE TABLE IF NOT EXISTS "effect_cancellation_migrations" (
  migration_id integer PRIMARY KEY NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp,
  name VARCHAR(255) NOT NULL
);
INSERT INTO "effect_cancellation_migrations" (migration_id, name) VALUES (2, 'messages');
CREATE TABLE agent_messages (
  sequence INTEGER PRIMARY KEY,
  message_key TEXT NOT NULL,
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
) STRICT;
CREATE UNIQUE INDEX agent_messages_key ON agent_messages (message_key);
CREATE INDEX agent_messages_chat ON agent_messages (company_id, chat_id);
COMMIT;
