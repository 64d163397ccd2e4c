/** What the database says of the runs in the end. */
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const Row = Schema.Struct({
  run_id: Schema.String,
  owner: Schema.NullOr(Schema.String),
  outcome: Schema.NullOr(Schema.String),
  stopped: Schema.Boolean,
  observed: Schema.Boolean,
  /** How often an outcome was written. */
  writes: Schema.Finite
})
export type Row = typeof Row.Type

const decodeRows = Schema.decodeUnknownEffect(Schema.Array(Row))

/**
 * Has the database note each write of an outcome, which the row alone does not tell. In its own
 * transaction, so that it is noted if, and only if, it was written.
 */
export const keep = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const connection = yield* PgConnection.make({ url })
  for (const statement of [
    "CREATE TABLE outcome_writes (run_key text NOT NULL)",
    `CREATE FUNCTION note_outcome() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO outcome_writes VALUES (NEW.run_key); RETURN NULL; END $$`,
    `CREATE TRIGGER note_outcome AFTER UPDATE ON agent_runs FOR EACH ROW
      WHEN (NEW.outcome IS NOT NULL
        AND (NEW.outcome, NEW.ended_at) IS DISTINCT FROM (OLD.outcome, OLD.ended_at))
      EXECUTE FUNCTION note_outcome()`
  ]) {
    yield* connection.query(statement)
  }
}, Effect.scoped)

export const read = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const connection = yield* PgConnection.make({ url })
  const { rows } = yield* connection.query(
    `SELECT run_id, owner, outcome, user_aborted_at IS NOT NULL AS stopped,
        observed_at IS NOT NULL AS observed,
        coalesce(o.writes, 0) AS writes
      FROM agent_runs LEFT JOIN (
        SELECT run_key, CAST(count(*) AS integer) AS writes FROM outcome_writes GROUP BY run_key
      ) AS o USING (run_key)`
  )
  return yield* decodeRows(rows)
}, Effect.scoped)
