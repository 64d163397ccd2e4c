/** Which rows of an application's table a ref finds. */
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { SqlClient } from "effect/sql"
import { MessageStore, StopTarget } from "effect-cancellation"
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
  shapeOf,
  stopOf,
  within
} from "./flag.fixture.ts"

for (const name of ["PostgreSQL", "SQLite"] as const) {
  layer(databases[name], { excludeTestServices: true })(`Refs of a flag on ${name}`, (it) => {
    describe("tenants", () => {
      const mine = { companyId: "acme", userId: "ada", chatId: "chat" }
      const wrong = [
        { ...mine, companyId: "evil" },
        { ...mine, userId: "eve" },
        { ...mine, chatId: "other" },
        { ...mine, companyId: "ACME" },
        { ...mine, chatId: "chat " },
        { userId: "ada", chatId: "chat" },
        { companyId: "acme", chatId: "chat" },
        { chatId: "chat" }
      ]
      for (const id of name === "SQLite"
        ? ["TEXT", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"]
        : ["text", "char(20)"]) {
        it.effect(`a wrong company, user or chat finds nothing and changes nothing (${id})`, () =>
          within(shapeOf(name, { id }), (shape) =>
            Effect.gen(function* () {
              yield* insert(shape, refOf("1", mine), { userAbortedAt: shape.sample })
              yield* insert(shape, refOf("2", mine))
              const before = yield* rowsOf(shape)
              for (const ids of wrong) {
                const look = yield* lookAt(refOf("1", ids), refOf("2", ids))
                assert.deepStrictEqual([look.requests.length, look.gone.length], [0, 2])
                assert.strictEqual(yield* reasonOf(stopOf(refOf("2", ids))), "RunNotFound")
                const { chatId, companyId, userId } = refOf("2", ids)
                const chat = StopTarget.cases.Chat.make({
                  chatId,
                  ...(companyId === undefined ? {} : { companyId }),
                  ...(userId === undefined ? {} : { userId })
                })
                assert.strictEqual(
                  yield* reasonOf(MessageStore.use((store) => store.requestStop(chat, byUser))),
                  "RunNotFound"
                )
              }
              assert.deepStrictEqual(yield* rowsOf(shape), before)
              assert.lengthOf((yield* lookAt(refOf("1", mine), refOf("2", mine))).requests, 1)
            })
          )
        )
      }

      it.effect("without columns for them the table is the tenant default's", () => {
        const { companyId: _companyId, userId: _userId, ...rest } = columns
        return within(shapeOf(name, { columns: rest }), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"), { userAbortedAt: shape.sample })
            yield* insert(shape, refOf("2"))
            const before = yield* rowsOf(shape)
            const strangers = [{ companyId: "acme" }, { userId: "ada" }, mine]
            const look = yield* lookAt(
              ...strangers.map((ids) => refOf("1", ids)),
              refOf("1", { companyId: "default", userId: "default" }),
              refOf("1")
            )
            assert.deepStrictEqual([look.requests.length, look.gone.length], [2, 3])
            for (const ids of strangers) {
              assert.strictEqual(yield* reasonOf(stopOf(refOf("2", ids))), "RunNotFound")
            }
            assert.deepStrictEqual(yield* rowsOf(shape), before)
          })
        )
      })
    })

    it.effect("a ref that no row can have is warned of once", () => {
      const lines: Array<string> = []
      const logger = Logger.layer([
        Logger.make(({ logLevel, message }) => void lines.push(`${logLevel}: ${String(message)}`))
      ])
      const { companyId: _companyId, userId: _userId, ...rest } = columns
      return within(shapeOf(name, { columns: rest }), () =>
        Effect.gen(function* () {
          yield* lookAt(refOf("1"))
          assert.deepStrictEqual(lines, [])
          for (let times = 0; times < 3; times++) {
            yield* lookAt(refOf("1", { companyId: "acme" }), refOf("1"))
          }
          assert.lengthOf(lines, 1)
          assert.match(lines.join(), /^Warn: No row of "messages \d+" can be that of a run/)
        }).pipe(Effect.provide(logger))
      )
    })

    describe("ids", () => {
      const uuid = "0b6f1ad0-3f3b-4c7e-9a54-1f2e3d4c5b6a"
      const kinds: ReadonlyArray<readonly [string, string, ReadonlyArray<string>]> = [
        [
          "bigint",
          "42",
          [
            "042",
            "+42",
            " 42",
            "42 ",
            "4_2",
            "42.0",
            "4.2e1",
            "0x2a",
            "abc",
            "-42",
            "9223372036854775808",
            "9".repeat(255)
          ]
        ],
        ["integer", "7", ["07", "7.0", "2147483648", "abc"]],
        ...(name === "PostgreSQL"
          ? [
              [
                "uuid",
                uuid,
                [uuid.toUpperCase(), uuid.replaceAll("-", ""), `{${uuid}}`, ` ${uuid}`, "abc", "1"]
              ] as const
            ]
          : []),
        [name === "SQLite" ? "TEXT" : "varchar(3)", "abc", ["abcd", "ABC", "abc ", "%", "___"]]
      ]
      for (const [id, right, others] of kinds) {
        it.effect(`of ${id} match only as they are written`, () =>
          within(
            shapeOf(name, {
              id,
              columns: {
                chatId: columns.chatId,
                messageId: columns.messageId,
                userAbortedAt: columns.userAbortedAt
              }
            }),
            (shape) =>
              Effect.gen(function* () {
                const ref = refOf(right, { chatId: right })
                yield* insert(shape, ref)
                const strangers = others.flatMap((other) => [
                  refOf(other, { chatId: right }),
                  refOf(right, { chatId: other })
                ])
                for (const stranger of strangers) {
                  assert.strictEqual(
                    yield* reasonOf(stopOf(stranger)),
                    "RunNotFound",
                    stranger.messageId
                  )
                }
                assert.isNull(yield* flagOf(shape, ref))
                yield* stopOf(ref)
                const look = yield* lookAt(...strangers, ref)
                assert.deepStrictEqual(
                  look.requests.map(({ run }) => run.ref),
                  [ref]
                )
                assert.lengthOf(look.gone, strangers.length)
                assert.deepStrictEqual(look.failures, [])
              })
          )
        )
      }

      if (name === "SQLite") return
      it.effect("of a collation or type without case match only as they are written", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE EXTENSION citext`
          yield* sql`CREATE COLLATION careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`
          for (const id of ["citext", "text COLLATE careless"]) {
            yield* within(shapeOf(name, { id }), (shape) =>
              Effect.gen(function* () {
                yield* insert(shape, refOf("Abc"), { userAbortedAt: shape.sample })
                const look = yield* lookAt(
                  refOf("abc"),
                  refOf("Abc"),
                  refOf("Abc", { chatId: "Chat" })
                )
                assert.deepStrictEqual(
                  look.requests.map(({ run }) => run.ref),
                  [refOf("Abc")]
                )
                assert.lengthOf(look.gone, 2)
                assert.strictEqual(yield* reasonOf(stopOf(refOf("ABC"))), "RunNotFound")
              })
            )
          }
        })
      )
    })
  })
}
