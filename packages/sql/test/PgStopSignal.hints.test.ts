import { assert, describe, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import {
  ChatId,
  CompanyId,
  MessageId,
  MessageRef,
  Run,
  RunId,
  runKey,
  UserId
} from "effect-cancellation"
import { StopSignalContract } from "effect-cancellation-testing"
import { inject } from "vitest"
import { decodeStop, encodeStop } from "../src/internal/stopNotification.ts"
import * as PgStopSignal from "../src/PgStopSignal.ts"
import { freshRun, observe, open, operator } from "./PgStopSignal.fixture.ts"
import * as Postgres from "./support/Postgres.ts"

StopSignalContract.suite(
  "PostgreSQL",
  Layer.suspend(() =>
    PgStopSignal.layer({ channel: "effect_cancellation_contract" }).pipe(
      Layer.provide(PgClient.layer({ url: Redacted.make(inject("postgresUrl")) }))
    )
  ),
  { acrossProcesses: true }
)

const placeOf = (id: string, tenant: string | undefined = id): Run =>
  Run.make({
    ref: MessageRef.make({
      ...(tenant === undefined
        ? {}
        : { companyId: CompanyId.make(tenant), userId: UserId.make(tenant) }),
      chatId: ChatId.make(id),
      messageId: MessageId.make(id)
    }),
    runId: RunId.make(id)
  })

describe("the payload", () => {
  const longest = ["😀".repeat(255), "\\".repeat(255), "ü".repeat(255), "\\😀\u{10ffff}"]

  it("stays below 8,000 bytes for any id", () => {
    for (const id of longest.slice(0, 3)) {
      assert.isBelow(new TextEncoder().encode(encodeStop(placeOf(id))).byteLength, 8000)
    }
    const spaced = JSON.stringify(Array(5).fill("😀".repeat(255))).replaceAll(",", ", ")
    assert.strictEqual(new TextEncoder().encode(spaced).byteLength, 5120)
  })

  it("names no tenant where the run has none", () => {
    const run = Run.make({
      ref: MessageRef.of({ chatId: "chat", messageId: "message" }),
      runId: RunId.make("run")
    })
    assert.strictEqual(encodeStop(run), `["default","default","chat","message","run"]`)
    assert.deepStrictEqual(decodeStop(encodeStop(run)), Option.some(run))
  })

  it("that is none is none", () => {
    const payloads = [
      "",
      "nonsense",
      "null",
      "{}",
      "[]",
      `["a","b","c","d"]`,
      `["a","b","c","d","e","f"]`,
      `["a","b","c","d",5]`,
      `["a","b","c","d",""]`,
      `["a","b","c","d",null]`,
      `["a","b","c","d","a'b"]`,
      JSON.stringify(["a", "b", "c", "d", "e".repeat(256)])
    ]
    assert.deepStrictEqual(
      payloads.filter((payload) => Option.isSome(decodeStop(payload))),
      []
    )
  })

  it.live("is what PostgreSQL makes of the columns, and reaches the subscribers", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { column, notify } = yield* operator(url)
      const { signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      for (const id of [...longest.slice(0, 3), "a ", "%_;:{}", "عربى-中文"]) {
        const [payload] = yield* column(
          `SELECT CAST(json_build_array(id, id, id, id, id) AS text) FROM (SELECT $1::text AS id) AS ids`,
          [id]
        )
        const run = placeOf(id)
        assert.deepStrictEqual(
          Option.map(decodeStop(String(payload)), runKey),
          Option.some(runKey(run))
        )
        assert.deepStrictEqual(JSON.parse(encodeStop(run)), JSON.parse(String(payload)))
        yield* notify(String(payload))
        yield* observer.hears(run)
        const other = placeOf(id, undefined)
        yield* signal.publish(other)
        yield* observer.hears(other)
      }
    })
  )
})

describe("notifications that are no hints", () => {
  it.live("are ignored, with one warning", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { notify } = yield* operator(url)
      const { linesAt, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      yield* notify("nonsense")
      yield* notify(`["a","b","c","d",""]`)
      yield* notify("")
      const run = freshRun()
      yield* signal.publish(run)
      yield* observer.hears(run)
      assert.deepStrictEqual(observer.runs(), [runKey(run)])
      assert.strictEqual(observer.reconnected(), 1)
      assert.lengthOf(linesAt("Warn"), 1)
      assert.notInclude(linesAt("Warn").join(), "nonsense")
    })
  )
})

describe("publish", () => {
  it.live("of a transaction tells nobody before it is committed, or when it is not", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const { client, signal } = yield* open(url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      const [undone, done, meanwhile] = [freshRun(), freshRun(), freshRun()]
      yield* Effect.exit(
        client.withTransaction(Effect.andThen(signal.publish(undone), Effect.fail("undone")))
      )
      yield* client.withTransaction(
        Effect.gen(function* () {
          yield* signal.publish(done)
          yield* Effect.orDie(client.notify(PgStopSignal.defaultChannel, encodeStop(meanwhile)))
          yield* observer.hears(meanwhile)
          assert.deepStrictEqual(observer.runs(), [runKey(meanwhile)])
        })
      )
      yield* observer.hears(done)
      assert.deepStrictEqual(observer.runs(), [meanwhile, done].map(runKey))
    })
  )

  it.live("fails with a StopSignalError when the server is away", () =>
    Effect.gen(function* () {
      const { signal } = yield* open(Redacted.make("postgres://nobody@127.0.0.1:1/nothing"))
      const error = yield* Effect.flip(signal.publish(freshRun()))
      assert.strictEqual(error._tag, "StopSignalError")
    })
  )
})
