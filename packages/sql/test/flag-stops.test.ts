/** What a stop does to an application's table. */
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { MessageStore, StopIntent, StopTarget, UserId } from "effect-cancellation"
import {
  byUser,
  columns,
  databases,
  flagOf,
  insert,
  lookAt,
  reasonOf,
  refOf,
  rowsOf,
  runOf,
  shapeOf,
  stopOf,
  tableOf,
  newYear,
  within
} from "./flag.fixture.ts"
import { newRole } from "./support/roles.ts"

for (const name of ["PostgreSQL", "SQLite"] as const) {
  layer(databases[name], { excludeTestServices: true })(`Stops of a flag on ${name}`, (it) => {
    describe("requestStop", () => {
      it.effect("keeps of 50 at once the first, and all answer it", () =>
        within(shapeOf(name), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"))
            const receipts = yield* Effect.all(
              Array.from({ length: 50 }, () => stopOf(refOf("1"))),
              { concurrency: "unbounded" }
            )
            const seen = new Set(
              receipts
                .flat()
                .map((receipt) =>
                  receipt._tag === "Requested" ? receipt.request.userAbortedAt : 0
                )
            )
            assert.deepStrictEqual([receipts.flat().length, seen.size], [50, 1])
            const look = yield* lookAt(refOf("1"))
            assert.deepStrictEqual(
              look.requests.map(({ request }) => request.userAbortedAt),
              Array.from(seen)
            )
          })
        )
      )

      it.effect("writes nothing to a message that is complete", () =>
        within(shapeOf(name), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"), { completedAt: shape.sample })
            yield* insert(shape, refOf("2"), {
              completedAt: shape.sample,
              userAbortedAt: shape.sample
            })
            const before = yield* rowsOf(shape)
            const receipts = [...(yield* stopOf(refOf("1"))), ...(yield* stopOf(refOf("2")))]
            assert.deepStrictEqual(
              receipts.map((receipt) =>
                receipt._tag === "TooLate" ? receipt.request?.userAbortedAt : receipt._tag
              ),
              [undefined, newYear]
            )
            assert.deepStrictEqual(yield* rowsOf(shape), before)
            assert.deepStrictEqual(
              yield* reasonOf(
                MessageStore.use((store) =>
                  store.requestStop(StopTarget.cases.Chat.make(refOf("1")), byUser)
                )
              ),
              "RunNotFound"
            )
          })
        )
      )

      it.effect("claims nothing that a flag cannot keep", () =>
        within(shapeOf(name), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"))
            const intent = StopIntent.make({
              reason: "deadline",
              requestedBy: UserId.make("ada"),
              note: "late"
            })
            const [receipt] = yield* stopOf(refOf("1"), intent)
            const [seen] = (yield* lookAt(refOf("1"))).requests
            assert.isTrue(receipt?._tag === "Requested")
            assert.deepStrictEqual(
              receipt?._tag === "Requested" ? receipt.request : undefined,
              seen?.request
            )
            assert.deepStrictEqual(Object.keys(seen?.request ?? {}), ["userAbortedAt", "reason"])
          })
        )
      )

      it.effect("names the run that was asked for", () =>
        within(shapeOf(name), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"))
            const run = runOf(refOf("1"), "attempt-7")
            const [receipt] = yield* MessageStore.use((store) =>
              store.requestStop(StopTarget.cases.Run.make({ run }), byUser)
            )
            assert.isTrue(receipt?._tag === "Requested" && receipt.run.runId === "attempt-7")
          })
        )
      )

      it.effect("stops in a chat whatever is not complete, and nothing else", () =>
        within(shapeOf(name), (shape) =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            for (const id of ["1", "2"]) yield* insert(shape, refOf(id))
            yield* insert(shape, refOf("3"), { completedAt: shape.sample })
            yield* insert(shape, refOf("4"), { userAbortedAt: shape.sample })
            yield* insert(shape, refOf("5", { chatId: "another" }))
            yield* insert(shape, refOf("6", { userId: "another" }))
            yield* insert(shape, refOf("7"))
            // No id of this library's, so that nobody watches it.
            yield* sql.unsafe(
              `UPDATE ${tableOf(shape)} SET message_id = 'it''s' WHERE message_id = '7'`
            )
            const { chatId } = refOf("1")
            const receipts = yield* MessageStore.use((store) =>
              store.requestStop(StopTarget.cases.Chat.make({ chatId }), byUser)
            )
            assert.deepStrictEqual(
              receipts.map((receipt) =>
                receipt._tag === "Requested" ? String(receipt.run.ref.messageId) : receipt._tag
              ),
              ["1", "2", "4"]
            )
            const flags = yield* Effect.forEach(["3", "5", "6"], (id) => flagOf(shape, refOf(id)))
            assert.deepStrictEqual(flags, [null, null, null])
          })
        )
      )

      it.effect("of a chat needs to know what is complete", () => {
        const { completedAt: _completedAt, ...rest } = columns
        return within(shapeOf(name, { columns: rest }), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"))
            const error = yield* Effect.flip(
              MessageStore.use((store) =>
                store.requestStop(StopTarget.cases.Chat.make(refOf("1")), byUser)
              )
            )
            assert.strictEqual(error.reason._tag, "Unsupported")
            assert.match(error.message, /completedAt/)
            assert.isNull(yield* flagOf(shape, refOf("1")))
          })
        )
      })

      if (name === "SQLite") return
      it.effect("needs no right to any other column", () =>
        within(shapeOf(name), (shape) =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            yield* insert(shape, refOf("1"))
            const role = sql(yield* newRole("clerk"))
            const mapped = sql.csv(Object.values(columns).map((column) => sql`${sql(column)}`))
            yield* sql`GRANT SELECT (${mapped}), UPDATE (user_aborted_at) ON ${sql(shape.table)} TO ${role}`
            const [receipt] = yield* sql.withTransaction(
              Effect.andThen(sql`SET LOCAL ROLE ${role}`, stopOf(refOf("1")))
            )
            assert.strictEqual(receipt?._tag, "Requested")
          }).pipe(Effect.scoped)
        )
      )
    })
  })
}
