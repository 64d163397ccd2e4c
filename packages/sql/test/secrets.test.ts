// What is wrong with the way to a database is told in words, and never with its password.
import { createServer } from "node:net"
import { inspect } from "node:util"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import {
  InvalidSetting,
  MessageContent,
  MessageQuery,
  MessageStore,
  RunQuery,
  StopSignal
} from "effect-cancellation"
import type { SqlClient } from "effect/sql"
import { afterEach, vi } from "vitest"
import { Migrations, SqlMessageContent, SqlMessageStore } from "../src/index.ts"
import * as PgStopSignal from "../src/PgStopSignal.ts"
import * as PostgresStores from "../src/Postgres.ts"
import { runOf } from "./concurrency.fixture.ts"
import { open } from "./PgStopSignal.fixture.ts"
import { freePort } from "./support/freePort.ts"
import { until } from "./support/until.ts"

const run = runOf("chat", "message", "run")

/** Everything that a log may make of an error. */
const dumped = (cause: Cause.Cause<unknown>): string =>
  [
    inspect(cause, { depth: null, showHidden: true }),
    Cause.pretty(cause),
    JSON.stringify(cause),
    ...cause.reasons.flatMap((reason) => {
      const error =
        reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined
      return [inspect(error, { depth: null }), JSON.stringify(error), String(error)]
    })
  ].join("\n")

const failureOf = Effect.fnUntraced(function* (effect: Effect.Effect<unknown, unknown>) {
  const exit = yield* Effect.exit(effect)
  return Exit.isFailure(exit) ? exit.cause : assert.fail("it succeeded")
})

const defectOf = Effect.fnUntraced(function* (effect: Effect.Effect<unknown, unknown>) {
  const cause = yield* failureOf(effect)
  const [reason] = cause.reasons
  assert.notInclude(dumped(cause), "s3cret")
  return reason?._tag === "Die" && reason.defect instanceof InvalidSetting
    ? reason.defect
    : assert.fail(Cause.pretty(cause))
})

const build = <A, E>(layer: Layer.Layer<A, E>) =>
  Effect.scoped(Layer.build(Layer.fresh(layer)).pipe(Effect.timeout("10 seconds")))

const flag = {
  table: "messages",
  columns: { chatId: "chat_id", messageId: "id", userAbortedAt: "user_aborted_at" }
}

/** All that can be done with a client of the application's own. */
const onClient = (
  client: Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, unknown>
): Readonly<Record<string, Effect.Effect<unknown, unknown>>> => {
  const on = <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    layer: Layer.Layer<R, never, SqlClient.SqlClient | PgClient.PgClient>
  ) => Effect.provide(effect, Layer.fresh(layer.pipe(Layer.provide(client))))
  return {
    Migrations: build(Migrations.layer.pipe(Layer.provide(client))),
    SqlMessageStore: on(
      Effect.flatMap(MessageStore, (store) =>
        store.findRuns(RunQuery.cases.Refs.make({ refs: [run.ref] }))
      ),
      SqlMessageStore.layer()
    ),
    "SqlMessageStore, several statements": on(
      Effect.flatMap(MessageStore, (store) => store.sweepLost),
      SqlMessageStore.layer()
    ),
    layerWith: build(SqlMessageStore.layerWith(flag).pipe(Layer.provide(client))),
    SqlMessageContent: on(
      Effect.flatMap(MessageContent, (content) => content.find(MessageQuery.make(run.ref))),
      SqlMessageContent.layer
    ),
    PgStopSignal: on(
      Effect.flatMap(StopSignal, (signal) => signal.publish(run)),
      PgStopSignal.layer()
    )
  }
}

/** A server that wants a password, and does not like it. */
const strict = Effect.gen(function* () {
  const fields = 'SFATAL\0C28P01\0Mpassword authentication failed for user "app"\0\0'
  const size = Buffer.alloc(4)
  size.writeInt32BE(fields.length + 4)
  const refusal = Buffer.concat([Buffer.from("E"), size, Buffer.from(fields)])
  const server = createServer((socket) => {
    socket.on("error", () => {})
    socket.on("data", (data) => {
      if (data[0] === "p".charCodeAt(0)) socket.end(refusal)
      // AuthenticationCleartextPassword
      else socket.write(Buffer.from("520000000800000003", "hex"))
    })
  })
  const port = yield* freePort
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.sync(() => void server.close())
  )
  return `postgres://app:s3cret@127.0.0.1:${port}/app`
})

/** A server that speaks no TLS. */
const plain = Effect.gen(function* () {
  const server = createServer((socket) => {
    socket.on("error", () => {})
    socket.on("data", () => socket.write("N"))
  })
  const port = yield* freePort
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.sync(() => void server.close())
  )
  return `postgres://app:s3cret@127.0.0.1:${port}/app?sslmode=require`
})

afterEach(() => void vi.unstubAllEnvs())

describe("a password is in no error", () => {
  for (const [why, where, said] of [
    ["the URL cannot be read", Effect.succeed("postgres://app:s3cret#pw@host/db"), /written %23/],
    ["the server does not take it", strict, /password authentication failed/],
    [
      "nobody answers",
      Effect.succeed("postgres://app:s3cret@127.0.0.1:1/db"),
      /ECONNREFUSED|Failed to connect/
    ],
    ["the server knows no TLS", plain, /the server does not support TLS, which is asked for/]
  ] as const) {
    it.live(`of a client's own, if ${why}`, () =>
      Effect.gen(function* () {
        const client = PgClient.layer({ url: Redacted.make(yield* where) })
        for (const [name, effect] of Object.entries(onClient(client))) {
          const dump = dumped(yield* failureOf(effect))
          assert.notInclude(dump, "s3cret", name)
          assert.match(dump, said, name)
        }
      })
    )

    it.live(`of the signal's own, if ${why}`, () =>
      Effect.gen(function* () {
        const { lines } = yield* open(Redacted.make(yield* where))
        yield* until(
          Effect.sync(() => lines.length),
          (count) => count > 0
        )
        assert.match(lines.join("\n"), said)
        assert.notInclude(lines.join("\n"), "s3cret")
      })
    )
  }

  it.live("of Postgres, if nobody answers or lets it in", () =>
    Effect.gen(function* () {
      for (const url of [yield* strict, "postgres://app:s3cret@127.0.0.1:1/db"]) {
        const layer = Migrations.layer.pipe(
          Layer.provideMerge(PostgresStores.layer({ url: Redacted.make(url) }))
        )
        assert.notInclude(dumped(yield* failureOf(build(layer))), "s3cret")
      }
    })
  )
})

describe("a URL that cannot be used", () => {
  for (const [url, said] of [
    ["s3cret", /begins with postgres:\/\/ or/],
    ["https://app:s3cret@host/db", /begins with postgres:\/\/ or/],
    ["postgres://app:s3cret#pw@host/db", /# in a user or password is written %23/],
    // Read by Node as a host and a port.
    ["postgres://app:12#s3cret@host/db", /# in a user or password is written %23/],
    ["postgres://app:p@s3cret#word@host/db", /# in a user or password is written %23/],
    ["postgres://app:s3cret/pw@host/db", /\/ in a user or password is written %2F/],
    ["postgres://app:12/s3cret@host/db", /\/ in a user or password is written %2F/],
    ["postgres://app:p@s3cret/word@host/db", /\/ in a user or password is written %2F/],
    ["postgres://app:s3cret?pw@host/db", /\? in a user or password is written %3F/],
    ["postgres://app:12?s3cret@host/db", /\? in a user or password is written %3F/],
    ["postgres://app:p@s3cret?word@host/db", /\? in a user or password is written %3F/],
    ["postgres://app:/s3cret@host/db", /\/ in a user or password is written %2F/],
    ["postgres://app:12/s3cret@host", /an @ after the host %40/],
    ["postgres://app:p@s3cret?x=y@127.0.0.1/db", /\? in a user or password is written %3F/],
    ["postgres://app:p@s3cret?user=a&x=y@127.0.0.1/db", /\? in a user or password/],
    ["postgres://app:s3cret%zz@host/db", /% in a user or password is written %25/],
    ["postgres://app:s3cret@host:99999/db", /a URL such as postgres:\/\/user:password@host/],
    [
      "postgres://app:s3cret@host:99999/db?application_name=a@b",
      /a URL such as postgres:\/\/user:password@host/
    ]
  ] as const) {
    it.effect(`names the option and what is wrong: ${url.replace("s3cret", "…")}`, () =>
      Effect.gen(function* () {
        const given = Redacted.make(url)
        const own = yield* defectOf(build(PostgresStores.layer({ url: given })))
        assert.strictEqual(own.option, "url")
        assert.match(own.message, said)
        const listening = yield* defectOf(
          build(
            PostgresStores.layer({
              url: Redacted.make("postgres://app@127.0.0.1:1/db"),
              listenUrl: given
            })
          )
        )
        assert.strictEqual(listening.option, "listenUrl")
        assert.match(listening.message, said)
      })
    )
  }

  it.effect("is not one that has such characters where they may be", () =>
    Effect.gen(function* () {
      for (const url of [
        "postgres://app:s%23%2F%3F%25@127.0.0.1:1/db?application_name=a@b",
        "postgresql://app:a@b@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?user=app@server&password=x",
        "postgres://app@localhost/db?host=/var/run/postgresql",
        "postgres://app@host/a@b",
        "postgres://app:x@host/a@b",
        "postgres://app@host:5432/a@b",
        "postgres://app:x@[::1]:5432/a@b/c",
        "postgres://app@host/db#x",
        "postgres://app:x@host/db?options=-c%20a.b=c@d/e&password=p@ss"
      ]) {
        yield* build(PostgresStores.layer({ url: Redacted.make(url), notify: false }))
      }
      for (const url of [
        "postgres://127.0.0.1/db?application_name=me@here",
        "postgres://127.0.0.1/db?password=p@ss",
        "postgres://host:5432/db?password=p@ss",
        "postgres://127.0.0.1:5432/a@b",
        "postgres://[::1]:5432/a@b",
        "postgres://host/a@b",
        "postgres://:pw@127.0.0.1/db"
      ]) {
        const options = { url: Redacted.make(url), username: "app", notify: false } as const
        yield* build(PostgresStores.layer(options))
      }
      // The user is the client's.
      const listenUrl = Redacted.make("postgres://127.0.0.1:1?application_name=me@here")
      const url = Redacted.make("postgres://app@127.0.0.1:1/db")
      yield* build(PostgresStores.layer({ url, listenUrl }))
    })
  )

  it.effect("is one without a user, if nothing else names it", () =>
    Effect.gen(function* () {
      const url = Redacted.make("postgres://localhost/app")
      // Nor does it count who runs the program.
      vi.stubEnv("USER", "somebody")
      const error = yield* defectOf(build(PostgresStores.layer({ url })))
      assert.include(error.message, "postgres://user@host/database")
      yield* build(PostgresStores.layer({ url, username: "app", notify: false }))
      const { option } = yield* defectOf(build(PostgresStores.layer({ host: "localhost" })))
      assert.strictEqual(option, "username")
      // An empty name is none, and an option wins over the URL.
      for (const named of [
        "postgres://localhost/app?user=",
        "postgres://app@localhost/app?user="
      ]) {
        const layer = PostgresStores.layer({ url: Redacted.make(named) })
        assert.strictEqual((yield* defectOf(build(layer))).option, "url")
      }
      const named = Redacted.make("postgres://app@localhost/app")
      const empty = yield* defectOf(build(PostgresStores.layer({ url: named, username: "" })))
      assert.deepInclude(empty, { option: "username", value: '""' })
      const at = Redacted.make("postgres://localhost/app?application_name=a@b")
      const unnamed = yield* defectOf(build(PostgresStores.layer({ url: at })))
      assert.include(unnamed.message, "a URL that names the user")
      vi.stubEnv("USER", undefined)
      vi.stubEnv("USERNAME", undefined)
      const client = PgClient.layer({ url })
      const cause = yield* failureOf(build(Migrations.layer.pipe(Layer.provide(client))))
      assert.include(Cause.pretty(cause), "write postgres://user@host/database")
    })
  )
})
