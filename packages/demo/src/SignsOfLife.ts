/**
 * How long the processes that write answers have given no sign of life: a process that was killed
 * says nothing, and until its lease ends only this tells.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { RunRecord } from "effect-cancellation"
import { SqlClient } from "effect/sql"

/** How long a process may be silent. Short, so that a person who tries `kill -9` need not wait long. */
export const leaseTtl = Duration.seconds(5)

export class SignsOfLife extends Context.Service<
  SignsOfLife,
  {
    /**
     * How many seconds nothing has come of the process of a run, for runs of which something should
     * have come. What cannot be read is not said.
     */
    readonly silences: (
      records: ReadonlyArray<RunRecord>
    ) => Effect.Effect<(record: RunRecord) => number | undefined>
  }
>()("effect-cancellation-demo/SignsOfLife") {
  static readonly layer: Layer.Layer<SignsOfLife, never, SqlClient.SqlClient> = Layer.effect(
    this,
    Effect.map(SqlClient.SqlClient, (sql) => {
      // By the database's clock alone, as the leases are.
      const sinceEnd = sql.onDialectOrElse({
        pg: () => sql`(extract(epoch FROM statement_timestamp() - expires_at) * 1000)::float8`,
        orElse: () => sql`unixepoch('subsec') * 1000 - expires_at`
      })
      const read = (owners: ReadonlyArray<string>) =>
        sql<{ readonly owner: string; readonly millis: number }>`
          SELECT owner, ${sinceEnd} AS millis FROM agent_leases WHERE ${sql.in("owner", owners)}`

      const silences = Effect.fnUntraced(function* (records: ReadonlyArray<RunRecord>) {
        const owners = new Set(
          records.flatMap(({ outcome, owner }) =>
            outcome === undefined && owner !== undefined ? [owner] : []
          )
        )
        const rows =
          owners.size === 0
            ? []
            : yield* Effect.orElseSucceed(
                Effect.timeout(read(Array.from(owners)), "2 seconds"),
                () => []
              )
        const seconds = new Map(
          rows.map(({ millis, owner }) => [
            owner,
            Math.floor((millis + Duration.toMillis(leaseTtl)) / 1000)
          ])
        )
        return ({ outcome, owner }: RunRecord) => {
          const silence = owner === undefined ? undefined : seconds.get(owner)
          const isLong = outcome === undefined && silence !== undefined && silence >= usual
          return isLong ? silence : undefined
        }
      })

      return { silences }
    })
  )
}

// A lease is renewed three times as often as it must be; what is later than that is noteworthy.
const usual = 3
