// A Node whose driver cannot tell whether it is in a transaction: before 22.16, and 23.
import path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { vi } from "vitest"
import * as SqliteClient from "../src/SqliteClient.ts"
import { temporaryFolder } from "./SqliteFile.ts"

vi.mock("node:sqlite", () => ({
  DatabaseSync: class {
    close() {}
  }
}))

it.live("is refused when the file is opened, with the one that is needed", () =>
  Effect.gen(function* () {
    const filename = path.join(yield* temporaryFolder, "stops.sqlite")
    const error = yield* Effect.flip(Layer.build(SqliteClient.layer({ filename })))
    assert.strictEqual(
      error.message,
      `SQLite could not open ${JSON.stringify(filename)}: Node ${process.version} is too old: use 22.16 or later of 22, or 24 or later`
    )
  }).pipe(Effect.scoped)
)
