/** What roles of PostgreSQL need. */
import { table } from "../src/Migrations.ts"

const stop = ["user_aborted_at", "stop_reason", "stop_requested_by", "stop_note"]
const waiting = ["target_key", ...stop, "expires_at"]

export const rights = `-- What the roles of an application need, besides the right to connect and USAGE of the schema.
-- Put their names in the place of agent_role and stop_role.

-- A role that runs agents. (The numbers of the rows need no right of their own.)
GRANT SELECT, INSERT, UPDATE, DELETE ON agent_runs, agent_tombstones, agent_leases TO agent_role;
-- Where SqlMessageContent is used, and for a Migrations.layer that finds nothing to do.
GRANT SELECT, INSERT, UPDATE ON agent_messages TO agent_role;
GRANT SELECT ON ${table} TO agent_role;

-- A role that only takes stops and tells how they stand: requestStop, stopRequests, findRuns. It can
-- neither start nor end a run, nor read or write a text.
GRANT SELECT ON agent_runs TO stop_role;
GRANT UPDATE (${stop.join(", ")}) ON agent_runs TO stop_role;
GRANT SELECT (${waiting.join(", ")}) ON agent_tombstones TO stop_role;
GRANT INSERT, DELETE, UPDATE (expires_at) ON agent_tombstones TO stop_role;
`
