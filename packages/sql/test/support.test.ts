// What the other tests stand on.
import { assert, describe, it } from "@effect/vitest"
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { beforeEach, inject } from "vitest"
import * as PgBouncer from "./support/PgBouncer.ts"
import * as Postgres from "./support/Postgres.ts"
import * as PostgresServer from "./support/PostgresServer.ts"
import * as TcpProxy from "./support/TcpProxy.ts"
import { until } from "./support/until.ts"

const ask = Effect.fnUntraced(function* (url: Redacted.Redacted, statement: string) {
  const connection = yield* PgConnection.make({ url })
  return (yield* connection.query(statement)).rows
}, Effect.scoped)

const serverUrl = () => Redacted.make(inject("postgresUrl"))

describe("a database of its own", () => {
  it.effect("is empty, and is gone with the scope, whoever is connected", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { url, name } = yield* Scope.provide(Postgres.database, scope)
      const connection = yield* PgConnection.make({ url })
      const tables = "SELECT * FROM pg_tables WHERE schemaname = 'public'"
      assert.deepStrictEqual((yield* connection.query(tables)).rows, [])
      yield* connection.query("CREATE TABLE t (x int)")

      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(connection.query("SELECT 1"))))
      const databases = `SELECT * FROM pg_database WHERE datname = '${name}'`
      assert.deepStrictEqual(yield* ask(serverUrl(), databases), [])
    })
  )

  it.effect("comes as a client too", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const [row] = yield* sql<{ name: string; text: string }>`
        SELECT current_database() AS name, ${"größer ≥ 🐘"} AS text`
      assert.match(String(row?.name), /^effect_cancellation_/)
      assert.strictEqual(row?.text, "größer ≥ 🐘")
    }).pipe(Effect.provide(Postgres.layer({ maxConnections: 2 })))
  )
})

describe("a server of its own", () => {
  it.effect("keeps what is in it, and its address, over restarts", () =>
    Effect.gen(function* () {
      const server = yield* PostgresServer.make
      yield* ask(server.url, "CREATE TABLE t AS SELECT 1 AS x")
      const connection = yield* PgConnection.make({ url: server.url })

      yield* server.restart("fast")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(connection.query("SELECT 1"))))
      yield* ask(server.url, "INSERT INTO t VALUES (2)")
      yield* server.restart("immediate")
      yield* ask(server.url, "INSERT INTO t VALUES (3)")

      yield* server.stop("fast")
      const refused = yield* Effect.flip(ask(server.url, "SELECT 1"))
      assert.strictEqual(refused.reason._tag, "ConnectionError")
      yield* server.start
      const rows = yield* ask(server.url, "SELECT x FROM t ORDER BY x")
      assert.deepStrictEqual(rows, [{ x: 1 }, { x: 2 }, { x: 3 }])
    })
  )
})

describe("a proxy", () => {
  it.effect("forwards, and forgets a client that leaves", () =>
    Effect.gen(function* () {
      const proxy = yield* TcpProxy.make(serverUrl())
      assert.deepStrictEqual(yield* ask(proxy.url, "SELECT 1 AS x"), [{ x: 1 }])
      yield* until(proxy.connections, (count) => count === 0)

      // more than fits into all buffers on the way
      const many = "SELECT repeat('x', 1000) AS x FROM generate_series(1, 20000)"
      const connection = yield* PgConnection.make({ url: proxy.url })
      assert.strictEqual((yield* connection.query(many)).rows.length, 20_000)
      assert.strictEqual(yield* proxy.connections, 1)
    })
  )

  it.effect("holds back all that is sent while it is frozen, also by new clients", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      const insert = (x: number) => `INSERT INTO t VALUES (${x})`
      const rows = ask(url, "SELECT x FROM t ORDER BY x")
      yield* ask(url, "CREATE TABLE t (x int)")
      const connection = yield* PgConnection.make({ url: proxy.url })
      yield* connection.query(insert(1))

      yield* proxy.freeze
      const old = yield* Effect.forkChild(connection.query(insert(2)), { startImmediately: true })
      const late = yield* Effect.forkChild(ask(proxy.url, insert(3)))
      yield* until(proxy.connections, (count) => count === 2)
      assert.deepStrictEqual(yield* rows, [{ x: 1 }])
      assert.isUndefined(old.pollUnsafe())
      assert.isUndefined(late.pollUnsafe())

      yield* proxy.thaw
      yield* Fiber.join(old)
      yield* Fiber.join(late)
      assert.deepStrictEqual(yield* rows, [{ x: 1 }, { x: 2 }, { x: 3 }])
    })
  )

  it.effect("hides from the server that a client has left while it is frozen", () =>
    Effect.gen(function* () {
      const { url, name } = yield* Postgres.database
      const proxy = yield* TcpProxy.make(url)
      const scope = yield* Scope.make()
      yield* PgConnection.make({ url: proxy.url }).pipe(Scope.provide(scope))
      const clients = ask(
        serverUrl(),
        `SELECT 1 FROM pg_stat_activity WHERE datname = '${name}'`
      ).pipe(Effect.map((found) => found.length))

      yield* proxy.freeze
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* clients, 1)
      yield* proxy.thaw
      yield* until(clients, (count) => count === 0)
      yield* until(proxy.connections, (count) => count === 0)
    })
  )

  it.effect("closes connections and refuses new ones when it is cut, until it is mended", () =>
    Effect.gen(function* () {
      const proxy = yield* TcpProxy.make(serverUrl())
      const connection = yield* PgConnection.make({ url: proxy.url })
      const sleep = yield* Effect.forkChild(connection.query("SELECT pg_sleep(60)"), {
        startImmediately: true
      })
      yield* proxy.cut
      assert.isTrue(Exit.isFailure(yield* Fiber.await(sleep)))
      const refused = yield* Effect.flip(ask(proxy.url, "SELECT 1"))
      assert.strictEqual(refused.reason._tag, "ConnectionError")
      assert.strictEqual(yield* proxy.connections, 0)

      yield* proxy.mend
      assert.deepStrictEqual(yield* ask(proxy.url, "SELECT 1 AS x"), [{ x: 1 }])
    })
  )
})

describe("a PgBouncer", () => {
  beforeEach(PgBouncer.skipWithout)

  it.effect("passes queries on, each transaction to any connection", () =>
    Effect.gen(function* () {
      const { url, name } = yield* Postgres.database
      const bouncer = yield* PgBouncer.make(url)
      const rows = yield* ask(bouncer.url, "SELECT current_database() AS name")
      assert.deepStrictEqual(rows, [{ name }])

      // in transaction mode, two clients that are idle share a connection
      const one = yield* PgConnection.make({ url: bouncer.url, prepare: false })
      const two = yield* PgConnection.make({ url: bouncer.url, prepare: false })
      const pid = "SELECT pg_backend_pid() AS pid"
      assert.deepStrictEqual((yield* one.query(pid)).rows, (yield* two.query(pid)).rows)
    })
  )
})
