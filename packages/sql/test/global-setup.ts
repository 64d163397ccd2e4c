// The PostgreSQL of a test run: the one that `TEST_DATABASE_URL` names, else one of its own.
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import * as PostgresServer from "./support/PostgresServer.ts"
import { CannotRun } from "./support/Sandbox.ts"

const given = process.env["TEST_DATABASE_URL"] || undefined
const need =
  given === undefined
    ? "These tests need PostgreSQL. TEST_DATABASE_URL may name one if theirs cannot start here."
    : "These tests need a PostgreSQL at TEST_DATABASE_URL."

const server = Effect.gen(function* () {
  const url = given === undefined ? (yield* PostgresServer.make).url : Redacted.make(given)
  yield* Effect.scoped(PgConnection.make({ url }))
  return Redacted.value(url)
}).pipe(Effect.mapError(({ message }) => new CannotRun({ message: `${need}\n${message}` })))

export const setup = async ({ vitest }: TestProject) => {
  const root = vitest.getRootProject()
  // another project of the same run has it already
  if (root.getProvidedContext().postgresUrl !== undefined) return
  const scope = Effect.runSync(Scope.make())
  const close = Scope.close(scope, Exit.void)
  const url = server.pipe(
    Scope.provide(scope),
    Effect.onError(() => close)
  )
  root.provide("postgresUrl", await Effect.runPromise(url))
  return () => Effect.runPromise(close)
}
