// What PostgreSQL makes of the statements of the store with a million runs: the plan of the hot read,
// and how long each operation takes. `TEST_DATABASE_URL` names the server; the database is a new one.
import { randomBytes } from "node:crypto"
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Migrations from "../src/Migrations.ts"
import { fill, operations, planOf, recording } from "../test/plans.fixture.ts"

const rows = Number(process.argv[2] ?? 1_000_000)
const server = process.env["TEST_DATABASE_URL"] ?? "postgres://postgres@127.0.0.1:5432/postgres"

const write = (text: string) => Effect.sync(() => void process.stdout.write(`${text}\n`))

const onServer = Effect.fnUntraced(function* (statement: string) {
  const connection = yield* PgConnection.make({ url: Redacted.make(server) })
  yield* connection.query(statement)
}, Effect.scoped)

const newDatabase = Layer.unwrap(
  Effect.gen(function* () {
    const name = `effect_cancellation_${randomBytes(8).toString("hex")}`
    yield* Effect.acquireRelease(onServer(`CREATE DATABASE ${name} TEMPLATE template0`), () =>
      Effect.orDie(onServer(`DROP DATABASE ${name} WITH (FORCE)`))
    )
    const url = new URL(server)
    url.pathname = `/${name}`
    return PgClient.layer({ url: Redacted.make(url.href), maxConnections: 2 })
  })
)

const middle = (times: ReadonlyArray<number>) =>
  times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)]?.toFixed(2)

const measure = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* Migrations.run
  const { sentBy, store } = yield* recording(sql)
  yield* fill(sql, rows)
  yield* sql.unsafe("VACUUM ANALYZE agent_runs")
  const all = Object.entries(operations(store, rows))
  for (const [name, operation] of all.filter(([each]) => each.startsWith("stopRequests"))) {
    for (const sent of yield* sentBy(operation)) {
      for (const mode of ["force_custom_plan", "force_generic_plan"] as const) {
        yield* write(`-- ${name}, ${mode}\n${yield* planOf(sql, sent, mode)}\n`)
      }
    }
  }
  yield* write(`${rows} runs; the middle of 21 times, in milliseconds, seen by the program`)
  for (const [name, operation] of all) {
    const times: Array<number> = []
    for (let time = 0; time < 21; time++) {
      const began = performance.now()
      yield* sentBy(operation)
      times.push(performance.now() - began)
    }
    yield* write(`${name.padEnd(48)} ${middle(times)}`)
  }
})

await Effect.runPromise(measure.pipe(Effect.scoped, Effect.provide(newDatabase)))
