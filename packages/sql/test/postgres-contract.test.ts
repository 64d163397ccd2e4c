import * as Layer from "effect/Layer"
import { MessageContentContract, MessageStoreContract } from "effect-cancellation-testing"
import { Migrations, SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import * as Postgres from "./support/Postgres.ts"

const newDatabase = Migrations.layer.pipe(Layer.provideMerge(Postgres.layer()))

MessageStoreContract.suite(
  "PostgreSQL",
  (options) => SqlMessageStore.layer(options).pipe(Layer.provide(Layer.fresh(newDatabase))),
  { supports: { hints: true } }
)

MessageContentContract.suite("PostgreSQL", SqlMessageContent.layer.pipe(Layer.provide(newDatabase)))
