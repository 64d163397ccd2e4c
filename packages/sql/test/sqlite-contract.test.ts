import * as Layer from "effect/Layer"
import { MessageContentContract, MessageStoreContract } from "effect-cancellation-testing"
import { SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import { newFile } from "./SqliteFile.ts"

MessageStoreContract.suite("SQLite", (options) =>
  SqlMessageStore.layer(options).pipe(Layer.provide(Layer.fresh(newFile)))
)

MessageContentContract.suite("SQLite", SqlMessageContent.layer.pipe(Layer.provide(newFile)))
