/**
 * The database of the demo: the adapter's two stores on one file.
 */
import { existsSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { MessageContent, MessageStore } from "effect-cancellation"
import { makeFolder } from "./Folder.ts"
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
        new Refusal({ line: `The database ${file} cannot be used: ${inWords(error.message)}` })
      )
    )
  )

const inWords = (message: string): string =>
  message.includes("readonly database")
    ? "it, or the folder it is in, is read-only for this user."
    : message

/** For the server: makes the folder and the file where there are none. */
export const layer: Stores = Layer.unwrap(
  Effect.gen(function* () {
    const { file, folder } = yield* Settings
    yield* makeFolder(folder)
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
