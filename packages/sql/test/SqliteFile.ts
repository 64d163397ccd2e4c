// A database of its own for each test, in a folder that goes away with it.
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Migrations from "../src/Migrations.ts"
import * as SqliteClient from "../src/SqliteClient.ts"

export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
)

/** A client on a file, with the tables made. */
export const openFile = (filename: string) =>
  Migrations.layer.pipe(Layer.provideMerge(SqliteClient.layer({ filename })))

/** A client on a new file. */
export const newFile = Layer.unwrap(
  Effect.map(temporaryFolder, (folder) => openFile(path.join(folder, "test.sqlite")))
)
