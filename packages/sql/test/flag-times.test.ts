/** Times in an application's table. */
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  type DatabaseName,
  databases,
  insert,
  lookAt,
  reasonOf,
  refOf,
  setFlag,
  shapeOf,
  stopOf,
  newYear,
  times,
  within
} from "./flag.fixture.ts"

const malformed: Readonly<Record<DatabaseName, ReadonlyArray<readonly [string, string]>>> = {
  PostgreSQL: [
    ["text", "'yesterday'"],
    ["text", "''"],
    ["text", "'1'"],
    ["text", "'2026-13-45T00:00:00Z'"],
    ["text", "repeat('9', 100000)"],
    ["bigint", "0"],
    ["bigint", "-1"],
    ["bigint", "9223372036854775807"],
    ["timestamptz", "'infinity'"],
    ["timestamptz", "'-infinity'"],
    ["timestamp(3)", "'290000-01-01'"]
  ],
  SQLite: [
    ["TEXT", "'yesterday'"],
    ["TEXT", "''"],
    ["INTEGER", "0"],
    ["INTEGER", "9223372036854775807"],
    ["INTEGER", "'soon'"],
    ["REAL", "9e999"],
    ["TEXT", "x'00ff'"]
  ]
}

for (const name of ["PostgreSQL", "SQLite"] as const) {
  layer(databases[name], { excludeTestServices: true })(`Times of a flag on ${name}`, (it) => {
    for (const time of Object.keys(times[name])) {
      it.effect(`writes the store's own time as ${time}, and reads the same`, () =>
        within(shapeOf(name, { time }), (shape) =>
          Effect.gen(function* () {
            const ref = refOf("1")
            yield* insert(shape, ref)
            const { now } = yield* lookAt(ref)
            const [receipt] = yield* stopOf(ref)
            const look = yield* lookAt(ref)
            if (receipt?._tag !== "Requested") return assert.fail(receipt?._tag)
            assert.isAtLeast(receipt.request.userAbortedAt, now)
            assert.isAtMost(receipt.request.userAbortedAt, look.now)
            assert.deepStrictEqual(
              look.requests.map(({ request }) => request),
              [receipt.request]
            )
            assert.deepStrictEqual(
              [receipt.run.runId, receipt.request.reason],
              [ref.messageId, "user"]
            )
            assert.deepStrictEqual(yield* stopOf(ref), [receipt])
          })
        )
      )

      it.effect(`reads what the application has written as ${time}`, () =>
        within(shapeOf(name, { time }), (shape) =>
          Effect.gen(function* () {
            yield* insert(shape, refOf("1"), { userAbortedAt: shape.sample })
            yield* insert(shape, refOf("2"), { completedAt: shape.sample })
            const look = yield* lookAt(refOf("1"), refOf("2"))
            assert.deepStrictEqual(
              look.requests.map(({ request }) => request.userAbortedAt),
              [newYear]
            )
            const [late] = yield* stopOf(refOf("2"))
            if (late?._tag !== "TooLate") return assert.fail(late?._tag)
            assert.deepStrictEqual(
              [late.endedAt, late.outcome, late.request],
              [newYear, "completed", undefined]
            )
          })
        )
      )
    }

    describe("a malformed flag", () => {
      for (const [time, value] of malformed[name]) {
        it.effect(`${value.slice(0, 30)} as ${time} is its own row's failure`, () =>
          within(shapeOf(name, { time }), (shape) =>
            Effect.gen(function* () {
              yield* insert(shape, refOf("1"), { userAbortedAt: shape.sample })
              yield* insert(shape, refOf("2"))
              yield* setFlag(shape, refOf("2"), value)
              const look = yield* lookAt(refOf("1"), refOf("2"), refOf("3"))
              assert.deepStrictEqual(
                look.requests.map(({ run }) => run.ref),
                [refOf("1")]
              )
              assert.deepStrictEqual(
                look.gone.map(({ ref }) => ref),
                [refOf("3")]
              )
              assert.deepStrictEqual(
                look.failures.map(({ error, run }) => [run.ref.messageId, error.reason._tag]),
                [["2", "MalformedRow"]]
              )
              for (const { error } of look.failures) {
                assert.match(
                  error.message,
                  /"user_aborted_at" of message 2 in "messages \d+" holds no time/
                )
              }
              assert.strictEqual(yield* reasonOf(stopOf(refOf("2"))), "MalformedRow")
            })
          )
        )
      }
    })
  })
}
