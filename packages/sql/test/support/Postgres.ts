/** A database of its own for every test that wants one, on the server that the test run has. */
import { randomBytes } from "node:crypto"
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inject } from "vitest"

declare module "vitest" {
  interface ProvidedContext {
    /** Of the server's own database `postgres`, or what `TEST_DATABASE_URL` names. */
    readonly postgresUrl: string
  }
}

interface Database {
  readonly url: Redacted.Redacted
  readonly name: string
}

/** A new and empty database. It is dropped with the scope, whoever is still connected to it. */
export const database = Effect.gen(function* () {
  const name = `effect_cancellation_${randomBytes(8).toString("hex")}`
  yield* Effect.acquireRelease(onServer(`CREATE DATABASE ${name} TEMPLATE template0`), () =>
    Effect.orDie(onServer(`DROP DATABASE ${name} WITH (FORCE)`))
  )
  const url = new URL(inject("postgresUrl"))
  url.pathname = `/${name}`
  return { url: Redacted.make(url.href), name } satisfies Database
})

/** A client of a new and empty database. */
export const layer = (options?: Omit<PgClient.PgPoolConfig, "url">) =>
  Layer.unwrap(Effect.map(database, ({ url }) => PgClient.layer({ ...options, url })))

const onServer = Effect.fnUntraced(function* (statement: string) {
  const connection = yield* PgConnection.make({ url: Redacted.make(inject("postgresUrl")) })
  yield* connection.query(statement)
}, Effect.scoped)
