/**
 * A database of its own for a measurement, on the server at `DATABASE_URL`; dropped with the scope.
 */
import { PgConnection } from "@effect/sql-pg"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export const newDatabase = Effect.gen(function* () {
  const server = yield* Config.Redacted("DATABASE_URL")
  const connection = yield* PgConnection.make({ url: server })
  const name = `effect_cancellation_measured_${process.pid}`
  yield* Effect.acquireRelease(connection.query(`CREATE DATABASE ${name}`), () =>
    Effect.orDie(connection.query(`DROP DATABASE ${name} WITH (FORCE)`))
  )
  const url = new URL(Redacted.value(server))
  url.pathname = `/${name}`
  return Redacted.make(url.href)
})
