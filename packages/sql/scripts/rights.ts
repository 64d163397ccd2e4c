/** What roles of PostgreSQL need. */
import { table } from "../src/Migrations.ts"

const stop = ["user_aborted_at", "stop_reason", "stop_requested_by", "stop_note"]
const waiting = ["target_key", ...stop, "expires_at"]
const whose = ["company_id", "user_id", "chat_id"]
const which = [...whose, "message_id", "created_at"]

export const rights = `-- What the roles of an application need, besides the right to connect and USAGE of the schema.
-- Put their names in the place of agent_role, stop_role and erasure_role; leave out what you do not
-- use. One role may have the rights of several. Making the tables needs CREATE in the schema.

-- All of them: a Migrations.layer that finds nothing to do reads what has been done.
GRANT SELECT ON ${table} TO agent_role, stop_role, erasure_role;

-- A role that runs agents, and may forget runs. (The numbers of the rows need no right of their own.)
GRANT SELECT, INSERT, UPDATE, DELETE ON agent_runs, agent_tombstones, agent_leases TO agent_role;
-- Where SqlMessageContent is used. It deletes no texts, so whoever runs agents need not be able to.
GRANT SELECT, INSERT, UPDATE ON agent_messages TO agent_role;

-- A role that only takes stops and tells how they stand: requestStop, stopRequests, findRuns. It can
-- neither start nor end a run, nor forget one, nor read or write a text.
GRANT SELECT ON agent_runs TO stop_role;
GRANT UPDATE (${stop.join(", ")}) ON agent_runs TO stop_role;
GRANT SELECT (${waiting.join(", ")}) ON agent_tombstones TO stop_role;
GRANT INSERT, DELETE, UPDATE (expires_at) ON agent_tombstones TO stop_role;

-- A role that only erases: forget, for runs and stops; for texts a DELETE of your own, since nothing
-- in the package deletes them. It need not be able to read them.
GRANT SELECT, DELETE ON agent_runs TO erasure_role;
GRANT SELECT (${which.join(", ")}), DELETE ON agent_messages TO erasure_role;
-- Rows are locked before they are deleted, which needs the right to change a column. This is the one
-- that matters least: it can only be set to its next number, which makes the row the newest.
GRANT UPDATE (sequence) ON agent_runs TO erasure_role;
GRANT SELECT (${whose.join(", ")}), DELETE ON agent_tombstones TO erasure_role;
`
