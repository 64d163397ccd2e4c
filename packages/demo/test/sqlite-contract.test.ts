import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { afterAll } from "vitest"
import { MessageContentContract, MessageStoreContract } from "effect-cancellation-testing"
import * as SqliteMessageContent from "../src/sqlite/SqliteMessageContent.ts"
import * as SqliteMessageStore from "../src/sqlite/SqliteMessageStore.ts"
import { newFile } from "./SqliteFile.ts"

MessageStoreContract.suite("SQLite", (options) =>
  SqliteMessageStore.layer(options).pipe(Layer.provide(Layer.fresh(newFile)))
)

// The file stays open until all tests are over: the suite closes its layer before its last ones.
const content = ManagedRuntime.make(SqliteMessageContent.layer.pipe(Layer.provide(newFile)))
afterAll(() => content.dispose())

MessageContentContract.suite("SQLite", Layer.effectContext(content.contextEffect))
