/**
 * The database of the demo: the adapter's two stores on one file.
 */
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { MessageContent, MessageStore } from "effect-cancellation"
import { Refusal } from "./Refusal.ts"
import { Settings } from "./Settings.ts"
import * as Migrations from "./sqlite/migrations.ts"
import * as SqliteClient from "./sqlite/SqliteClient.ts"
import * as SqliteMessageContent from "./sqlite/SqliteMessageContent.ts"
import * as SqliteMessageStore from "./sqlite/SqliteMessageStore.ts"

type Stores = Layer.Layer<MessageStore | MessageContent, Refusal, Settings>

const open = (file: string) =>
  Layer.mergeAll(SqliteMessageStore.layer(), SqliteMessageContent.layer).pipe(
    Layer.provide(Migrations.layer),
    Layer.provide(SqliteClient.layer({ filename: file })),
    Layer.catch((error) =>
      Layer.effectContext(
        new Refusal({ line: `The database ${file} cannot be opened: ${error.message}` })
      )
    )
  )

/** For the server: makes the folder and the file where there are none. */
export const layer: Stores = Layer.unwrap(
  Effect.gen(function* () {
    const { file, folder } = yield* Settings
    yield* Effect.tryPromise({
      try: () => mkdir(folder, { recursive: true, mode: 0o700 }),
      catch: (cause) =>
        new Refusal({ line: `The folder ${folder} cannot be made: ${String(cause)}` })
    })
    return open(file)
  })
)

/** For the command line: refuses where there is no database, and makes none. */
export const layerExisting: Stores = Layer.unwrap(
  Effect.gen(function* () {
    const { file } = yield* Settings
    if (existsSync(file)) return open(file)
    return yield* new Refusal({
      line: `There is no database at ${file}. Has npm start run, with the same DEMO_DATA?`
    })
  })
)
