import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MessageStore } from "effect-cancellation"
import { Migrations, SqlMessageStore } from "effect-cancellation-sql"
import * as SqliteClient from "effect-cancellation-sql/SqliteClient"
import { MessageStoreContract } from "effect-cancellation-testing"
import { servingAll } from "./agent-serving.ts"

const inFile = Layer.unwrap(
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))),
      (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true, maxRetries: 5 }))
    )
    const filename = path.join(folder, "test.sqlite")
    return SqlMessageStore.layer().pipe(
      Layer.provide(Migrations.layer.pipe(Layer.provideMerge(SqliteClient.layer({ filename }))))
    )
  })
).pipe(Layer.orDie)

// A database keeps names and times its own way, and the server passes them on.
MessageStoreContract.suite("over HTTP, on SQLite", Layer.effect(MessageStore, servingAll(inFile)), {
  supports: { hints: true }
})
