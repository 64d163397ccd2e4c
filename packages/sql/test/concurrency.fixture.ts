/** Several programs on one PostgreSQL database, each with a pool of its own. */
import { PgClient } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ChatId, MessageId, MessageRef, MessageStore, Run, RunId } from "effect-cancellation"
import { SqlClient } from "effect/sql"
import { Migrations, SqlMessageStore } from "../src/index.ts"
import * as Postgres from "./support/Postgres.ts"

export type Store = MessageStore["Service"]

/** The stores of so many programs, and a client for looking into the database behind their backs. */
export const programs = Effect.fnUntraced(function* (count: number, maxConnections = 4) {
  const { url } = yield* Postgres.database
  const client = PgClient.layer({ url, maxConnections })
  const behind = yield* Layer.build(Migrations.layer.pipe(Layer.provideMerge(client)))
  const stores = yield* Effect.forEach(Array.from({ length: count }), () =>
    Effect.map(
      Layer.build(Layer.fresh(SqlMessageStore.layer().pipe(Layer.provide(client)))),
      Context.get(MessageStore)
    )
  )
  return { stores, sql: Context.get(behind, SqlClient.SqlClient), url }
})

/** Another number than the last test run had, or the one of that run. */
export const newSeed = (): number =>
  Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32))

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export const randomOf = (seed: number) => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number) => Math.floor(next() * limit)
  const among = <A>(values: readonly [A, ...ReadonlyArray<A>]): A =>
    values[below(values.length)] ?? values[0]
  return { next, below, among }
}

/** Of a chat of this name, of the tenant `default`. */
export const runOf = (chat: string, message: string, run: string): Run =>
  Run.make({
    ref: MessageRef.make({ chatId: ChatId.make(chat), messageId: MessageId.make(message) }),
    runId: RunId.make(run)
  })
