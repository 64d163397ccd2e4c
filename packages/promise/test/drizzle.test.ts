import { randomBytes } from "node:crypto"
import { afterAll, expect, inject, test } from "vitest"
import { drizzle } from "drizzle-orm/node-postgres"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createStops } from "effect-cancellation-promise"
import { MessageStoreContract } from "effect-cancellation-testing"
import pg from "pg"
import { drizzleStore } from "../examples/drizzle.ts"
import { storeSourceOf } from "../src/internal/source.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string
  }
}

// As a migration of drizzle-kit makes them of the tables in the example.
const tables = `
  CREATE TABLE stop_runs ("companyId" text NOT NULL, "userId" text NOT NULL, "chatId" text NOT NULL,
    "userAbortedAt" timestamptz(3), reason text, "requestedBy" text, note text, sequence serial,
    key text PRIMARY KEY, "messageKey" text NOT NULL, "messageId" text NOT NULL, "runId" text NOT NULL,
    "startedAt" timestamptz(3) NOT NULL, current boolean NOT NULL, owner text,
    "observedAt" timestamptz(3), "endedAt" timestamptz(3), outcome text);
  CREATE INDEX stop_runs_message ON stop_runs ("messageKey");
  CREATE INDEX stop_runs_chat ON stop_runs ("chatId");
  CREATE INDEX stop_runs_running ON stop_runs (owner) WHERE outcome IS NULL;
  CREATE TABLE stop_waiting ("companyId" text NOT NULL, "userId" text NOT NULL, "chatId" text NOT NULL,
    "userAbortedAt" timestamptz(3) NOT NULL, reason text, "requestedBy" text, note text,
    key text PRIMARY KEY, "expiresAt" timestamptz(3) NOT NULL);
  CREATE TABLE stop_leases (owner text PRIMARY KEY, "expiresAt" timestamptz(3) NOT NULL);`

const closing: Array<() => Promise<unknown>> = []
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

const newDatabase = async () => {
  const name = `stops_${randomBytes(8).toString("hex")}`
  const server = new pg.Pool({ connectionString: inject("postgresUrl"), max: 1 })
  await server.query(`CREATE DATABASE ${name} TEMPLATE template0`)
  closing.push(async () => {
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await server.end()
  })
  const url = new URL(inject("postgresUrl"))
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href })
  // The pool does not wait for its connections to be closed, and the database is dropped under them.
  pool.on("error", () => {})
  pool.on("connect", (client) => client.on("error", () => {}))
  closing.push(() => pool.end())
  await pool.query(tables)
  return drizzle(pool)
}

MessageStoreContract.suite("Drizzle on PostgreSQL", ({ tombstoneTtl }) =>
  Layer.unwrap(
    Effect.promise(async () => {
      const store = drizzleStore(await newDatabase(), Duration.toMillis(tombstoneTtl))
      return await storeSourceOf(store).load()
    })
  )
)

test("a stop asked of one process ends work in another", async () => {
  const db = await newDatabase()
  const options = { log: () => {}, pollInterval: 50 }
  await using worker = createStops({ ...options, store: drizzleStore(db) })
  await using page = createStops({ ...options, store: drizzleStore(db) })
  await using run = await worker.watch({ chatId: "c", messageId: "m" })
  const work = run.run(
    (signal) =>
      new Promise<"done">((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason))
      }),
    { whenStopped: "stopped" as const }
  )
  expect(await page.stop({ chatId: "c" })).toMatchObject([{ phase: "requested", messageId: "m" }])
  expect(await work).toBe("stopped")
  expect(run.event).toMatchObject({ reason: "user", chatId: "c", messageId: "m" })
  await run.close()
  expect(await page.receipts({ chatId: "c" })).toMatchObject([
    { phase: "ended", ended: { outcome: "stopped" } }
  ])
  expect(await page.forget({ chatId: "c" })).toBe(1)
})
