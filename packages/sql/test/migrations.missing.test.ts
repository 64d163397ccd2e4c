// Where nobody has run the migrations.
import { assert, describe, it } from "@effect/vitest"
import path from "node:path"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  ForgetQuery,
  MessageChange,
  MessageContent,
  type MessageContentError,
  MessageQuery,
  MessageStore,
  type MessageStoreError,
  NewMessage,
  ProcessId,
  RunQuery,
  StopIntent,
  StopTarget
} from "effect-cancellation"
import { SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import * as SqliteClient from "../src/SqliteClient.ts"
import { runOf } from "./concurrency.fixture.ts"
import { tablesOf } from "./migrations.fixture.ts"
import { temporaryFolder } from "./SqliteFile.ts"
import * as Postgres from "./support/Postgres.ts"

const run = runOf("chat", "message", "run")
const { ref } = run
const chat = { chatId: ref.chatId }
const lease = { owner: ProcessId.make("process"), ttl: Duration.hours(1) }
const intent = StopIntent.make({ reason: "user" })

const operations = (
  store: MessageStore["Service"],
  content: MessageContent["Service"]
): Readonly<Record<string, Effect.Effect<unknown, MessageStoreError | MessageContentError>>> => ({
  stopRequests: store.stopRequests([run]),
  startRuns: store.startRuns([run], lease),
  "requestStop of a run": store.requestStop(StopTarget.cases.Run.make({ run }), intent),
  "requestStop of a chat": store.requestStop(StopTarget.cases.Chat.make(chat), intent),
  advanceRuns: store.advanceRuns([{ run, to: "completed" }]),
  findRuns: store.findRuns(RunQuery.cases.Chat.make(chat)),
  renewLease: store.renewLease(lease),
  sweepLost: store.sweepLost,
  forget: store.forget(ForgetQuery.cases.Chat.make(chat)),
  create: content.create(NewMessage.make({ ref, role: "assistant" })),
  modify: content.modify(MessageChange.make({ ref, text: "text" })),
  find: content.find(MessageQuery.make(ref))
})

const newSqlite = Layer.unwrap(
  Effect.map(temporaryFolder, (made) =>
    SqliteClient.layer({ filename: path.join(made, "test.sqlite") })
  )
)

for (const [database, client] of [
  ["PostgreSQL", Postgres.layer()],
  ["SQLite", newSqlite]
] as const) {
  describe(`on an empty database of ${database}`, () => {
    it.live("the stores say what is missing, and make nothing", () =>
      Effect.gen(function* () {
        const stores = yield* Layer.build(
          Layer.merge(SqlMessageStore.layer(), SqlMessageContent.layer)
        )
        const all = operations(
          Context.get(stores, MessageStore),
          Context.get(stores, MessageContent)
        )
        for (const [name, operation] of Object.entries(all)) {
          const { reason } = yield* Effect.flip(operation)
          if (reason._tag !== "StoreUnavailable" && reason._tag !== "ContentUnavailable") {
            return assert.fail(`${name}: ${reason._tag}`)
          }
          assert.match(
            String(reason.cause),
            /The tables are missing: provide Migrations.layer/,
            name
          )
        }
        assert.deepStrictEqual(yield* tablesOf, [])
      }).pipe(Effect.provide(client))
    )
  })
}
