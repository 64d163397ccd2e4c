/** What happens between two statements of one operation. */
import * as Effect from "effect/Effect"
import type { SqlClient, Statement } from "effect/sql"

/** A client that does something after each statement of this text. */
export const spiedAfter = (
  sql: SqlClient.SqlClient,
  text: RegExp,
  then: Effect.Effect<unknown>
): SqlClient.SqlClient => {
  const spied: SqlClient.SqlClient = new Proxy(sql, {
    get: (target, key) => (key === "withoutTransforms" ? () => spied : Reflect.get(target, key)),
    apply: (target, _self, args: ReadonlyArray<unknown>) => {
      const statement: Statement.Statement<object> = Reflect.apply(target, undefined, args)
      if (!text.test(String(args[0]))) return statement
      return Object.assign(Effect.tap(statement, then), {
        unprepared: Effect.tap(statement.unprepared, then)
      })
    }
  })
  return spied
}
