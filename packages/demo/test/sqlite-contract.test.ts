import * as Layer from "effect/Layer"
import { MessageContentContract, MessageStoreContract } from "effect-cancellation-testing"
import * as SqliteMessageContent from "../src/sqlite/SqliteMessageContent.ts"
import * as SqliteMessageStore from "../src/sqlite/SqliteMessageStore.ts"
import { newFile } from "./SqliteFile.ts"

MessageStoreContract.suite("SQLite", (options) =>
  SqliteMessageStore.layer(options).pipe(Layer.provide(Layer.fresh(newFile)))
)

MessageContentContract.suite("SQLite", SqliteMessageContent.layer.pipe(Layer.provide(newFile)))
