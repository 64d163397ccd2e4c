// Four programs that write to one file of SQLite as fast as they can.
import { assert, it } from "@effect/vitest"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql"
import { openFile, temporaryFolder } from "./SqliteFile.ts"
import { runAll } from "./storm.children.ts"

const programs = ["north", "east", "south", "west"]
const runs = 200
const busyTimeout = 20

const Answers = Schema.Array(
  Schema.Struct({
    busy: Schema.Finite,
    calls: Schema.Finite,
    p99: Schema.Finite,
    max: Schema.Finite,
    loop: Schema.Struct({ p99: Schema.Finite, max: Schema.Finite })
  })
)

it.live(
  "every stop reaches its run and no other, nothing is lost, and nobody stands still for long",
  () =>
    Effect.gen(function* () {
      const filename = path.join(yield* temporaryFolder, "test.sqlite")
      yield* Effect.gen(function* () {
        const args = programs.map((name, index) => [
          filename,
          name,
          programs[(index + 1) % programs.length] ?? "",
          String(runs)
        ])
        const answers = yield* Schema.decodeUnknownEffect(Answers)(
          yield* runAll("storm.child.ts", args)
        )
        yield* Effect.logInfo(answers)

        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql`SELECT chat_id, stop_requested_by AS stopper, outcome,
            count(*) AS runs, sum(observed_at IS NOT NULL) AS observed, sum(current) AS current
          FROM agent_runs GROUP BY 1, 2, 3 ORDER BY 1, 2`
        const half = runs / 2
        assert.sameDeepMembers(
          rows.map((row) => ({ ...row })),
          programs.flatMap((name, index) => [
            {
              chat_id: name,
              stopper: programs[(index + programs.length - 1) % programs.length],
              outcome: "stopped",
              runs: half,
              observed: half,
              current: half
            },
            {
              chat_id: name,
              stopper: null,
              outcome: "completed",
              runs: half,
              observed: 0,
              current: half
            }
          ])
        )
        const wrong = yield* sql`SELECT message_id FROM agent_runs
          WHERE (stop_reason IS NOT NULL) <> (CAST(substr(message_id, 9) AS INTEGER) % 2 = 0)`
        assert.deepStrictEqual(wrong, [])
        assert.deepStrictEqual(yield* sql`SELECT * FROM agent_tombstones`, [])

        // else it was no storm
        assert.isAbove(
          answers.reduce((sum, { busy }) => sum + busy, 0),
          0
        )
        for (const { p99 } of answers) assert.isBelow(p99, busyTimeout * 2)
      }).pipe(Effect.provide(openFile(filename)))
    }),
  { timeout: 120_000 }
)
