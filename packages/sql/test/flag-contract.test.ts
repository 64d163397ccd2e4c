/** The contract of stores, of which a flag keeps the reads, for tables of many kinds. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
import type { MessageRef } from "effect-cancellation"
import { MessageStoreContract } from "effect-cancellation-testing"
import {
  application,
  columns,
  type DatabaseName,
  hostileColumns,
  insert,
  type Shape,
  shapeOf,
  times
} from "./flag.fixture.ts"

const suite = (name: string, database: DatabaseName, given: Partial<Shape>) => {
  const shape = shapeOf(database, given)
  // The suite's rows are written through the client that its layer has made.
  let context: Context.Context<SqlClient.SqlClient> | undefined
  const layer = application(database, shape).pipe(
    Layer.tap((built) =>
      Effect.sync(() => {
        context = Context.make(SqlClient.SqlClient, Context.get(built, SqlClient.SqlClient))
      })
    )
  )
  const write = (ref: MessageRef, values: { readonly userAbortedAt?: string }) =>
    Effect.suspend(() =>
      context === undefined
        ? Effect.die(new Error("the layer was not built"))
        : Effect.provideContext(insert(shape, ref, values), context)
    )
  MessageStoreContract.suite(`flags, ${database}, ${name}`, layer, {
    supports: {
      runs: false,
      find: false,
      leases: false,
      erasure: false,
      hints: database === "PostgreSQL"
    },
    rows: {
      running: (ref) => write(ref, {}),
      stopped: (ref) => write(ref, { userAbortedAt: shape.sample })
    }
  })
}

const { completedAt: _completedAt, ...withoutEnd } = columns

for (const database of ["PostgreSQL", "SQLite"] as const) {
  for (const time of Object.keys(times[database])) suite(`times as ${time}`, database, { time })
  suite("without completedAt", database, { columns: withoutEnd })
  suite("names that need quotes", database, {
    table: `weird"name; DROP TABLE "messages" -- %s ? $1`,
    columns: hostileColumns,
    ...(database === "PostgreSQL" ? { schema: `Sch"ema; %` } : { schema: "main" })
  })
}
suite("ids as uuid", "PostgreSQL", { id: "uuid" })
suite("ids as varchar", "PostgreSQL", { id: "varchar(40)" })
suite("ids as a domain", "PostgreSQL", {
  id: "message_key",
  before: "CREATE DOMAIN message_key AS uuid"
})
suite("ids whose case means nothing", "PostgreSQL", {
  id: "text COLLATE careless",
  before:
    "CREATE COLLATION careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
})
suite("ids whose case means nothing", "SQLite", { id: "TEXT COLLATE NOCASE" })
