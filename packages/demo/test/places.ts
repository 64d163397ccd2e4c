// Where the demo can keep its data, each time a new one that goes away with the scope.
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Postgres from "../../sql/test/support/Postgres.ts"
import type { Environment } from "./DemoProcess.ts"

/** A new folder. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
)

/** The variables that name a new file. */
export const sqlite = Effect.map(temporaryFolder, (folder): Environment => ({ DEMO_DATA: folder }))

/** The variables that name a new and empty database. */
const postgres = Effect.map(Postgres.database, ({ url }): Environment => ({
  DATABASE_URL: Redacted.value(url)
}))

/** Both, for what must be the same on both. */
export const places = [
  ["SQLite", sqlite],
  ["PostgreSQL", postgres]
] as const
