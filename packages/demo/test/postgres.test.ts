// What is different on PostgreSQL.
import { assert, it } from "@effect/vitest"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { vi } from "vitest"
import * as Postgres from "../../sql/test/support/Postgres.ts"
import * as TcpProxy from "../../sql/test/support/TcpProxy.ts"
import { chatOf, openPage, request } from "./ChatClient.ts"
import { run, startServer, until } from "./DemoProcess.ts"
import { sqlite } from "./places.ts"

vi.setConfig({ testTimeout: 90_000 })

const programs = [
  ["main.ts", []],
  ["stop.ts", ["--all"]],
  ["messages.ts", []]
] as const

const ask = Effect.fnUntraced(function* (url: Redacted.Redacted, statement: string) {
  const connection = yield* PgConnection.make({ url })
  return (yield* connection.query(statement)).rows
}, Effect.scoped)

/** The URL of a new database, changed. */
const changed = (change: (url: URL) => void) =>
  Effect.map(Postgres.database, (database) => {
    const url = new URL(Redacted.value(database.url))
    change(url)
    return url.href
  })

it.live("a DATABASE_URL that is none is refused without repeating it", () =>
  Effect.gen(function* () {
    for (const [DATABASE_URL, why, [script, args]] of [
      ["mysql://user:secret@localhost/database", /that begins with postgres:\/\//, programs[0]],
      ["postgres://user:secret%ZZ@localhost/database", /a % in .* is written %25/, programs[1]],
      ["postgres://:secret@localhost/database", /that names the user/, programs[2]],
      ["postgres://localhost/database?application_name=a@b", /that names the user/, programs[1]],
      ["postgres://user:a@b/secret@localhost/database", /a \/ in .* is written %2F/, programs[0]],
      ["postgres://user:a@b?secret@localhost/database", /a \? in .* is written %3F/, programs[1]],
      ["secret", /that begins with postgres:\/\//, programs[2]]
    ] as const) {
      const { code, stderr, stdout } = yield* run(script, args, { DATABASE_URL, PORT: "0" })
      assert.match(stderr, /^DATABASE_URL must be a URL .*\. Without it the demo uses SQLite\.\n$/)
      assert.match(stderr, why)
      assert.notInclude(stderr, "secret")
      assert.deepStrictEqual([stdout, code], ["", 1])
    }
  })
)

it.live("an empty DATABASE_URL is none", () =>
  Effect.gen(function* () {
    const env = { ...(yield* sqlite), DATABASE_URL: "" }
    const { banner } = yield* startServer(env)
    assert.match(banner, /demo\.sqlite\n/)
  }).pipe(Effect.scoped)
)

it.live("a database that cannot be used is said in one line, without a password", () =>
  Effect.gen(function* () {
    const refusals = [
      [
        yield* changed((url) => {
          url.port = "1"
        }),
        /the server cannot be reached \(connect ECONNREFUSED .*\)\. Is it running, .* DATABASE_URL/,
        programs[0]
      ],
      [
        yield* changed((url) => {
          url.username = "nobody-known"
          url.password = "secret"
        }),
        // as this server trusts everybody, or nobody
        /the server does not let this user in \((password|role) .*\)\. Are .* DATABASE_URL right\?/,
        programs[1]
      ],
      [
        yield* changed((url) => {
          url.pathname = "/missing"
        }),
        /database "missing" does not exist\. Make it .* DATABASE_URL\./,
        programs[2]
      ],
      [
        yield* changed((url) => url.searchParams.set("sslmode", "require")),
        /the server does not support TLS\. .* sslmode in DATABASE_URL/,
        programs[0]
      ],
      [
        yield* changed((url) => url.searchParams.set("sslmode", "some")),
        /: unrecognized sslmode in URL: "some"\. Correct DATABASE_URL\./,
        programs[1]
      ]
    ] as const
    for (const [DATABASE_URL, why, [script, args]] of refusals) {
      const { password } = new URL(DATABASE_URL)
      const { code, stderr, stdout } = yield* run(script, args, { DATABASE_URL, PORT: "0" })
      assert.match(stderr, /^The database cannot be used \(PostgreSQL at [\w.:/-]+\): .*[.?]\n$/)
      assert.match(stderr, why)
      if (password !== "") assert.notInclude(stderr, password)
      assert.deepStrictEqual([stdout, code], ["", 1])
    }
  }).pipe(Effect.scoped)
)

it.live("a user who may make no tables is told so", () =>
  Effect.gen(function* () {
    const DATABASE_URL = yield* changed((url) =>
      url.searchParams.set("options", "-c role=pg_monitor")
    )
    const { code, stderr } = yield* run("main.ts", [], { DATABASE_URL, PORT: "0" })
    assert.match(
      stderr,
      /^The database cannot be used \(.*\): this user may not make .*permission denied.*\n$/
    )
    assert.strictEqual(code, 1)
  }).pipe(Effect.scoped)
)

it.live("tables of a newer version are refused, and left as they are", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const env = { DATABASE_URL: Redacted.value(url), PORT: "0" }
    const server = yield* startServer(env)
    yield* server.signal("SIGINT")
    yield* server.ended
    yield* ask(url, "INSERT INTO effect_cancellation_migrations VALUES (99, now(), 'later')")
    for (const [script, args] of programs) {
      const { code, stderr } = yield* run(script, args, env)
      assert.match(stderr, /^The database cannot be used \(.*\): a newer version .*\n$/)
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)

it.live("the command line makes no tables where there are none", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    for (const [script, args] of programs.slice(1)) {
      const { code, stderr } = yield* run(script, args, { DATABASE_URL: Redacted.value(url) })
      assert.match(stderr, /^There are no tables of the demo in PostgreSQL at .*\n$/)
      assert.strictEqual(code, 1)
    }
    assert.deepStrictEqual(
      yield* ask(url, "SELECT * FROM pg_tables WHERE schemaname = 'public'"),
      []
    )
  }).pipe(Effect.scoped)
)

it.live("DATABASE_URL wins over DEMO_DATA, and the banner says where the data is", () =>
  Effect.gen(function* () {
    const { name, url } = yield* Postgres.database
    const env = { ...(yield* sqlite), DATABASE_URL: Redacted.value(url) }
    const { banner } = yield* startServer(env)
    const { host, password } = new URL(env.DATABASE_URL)
    assert.include(banner, `PostgreSQL at ${host}/${name} (`)
    assert.include(banner, "DEMO_DATA is not used")
    assert.include(banner, "with the same DATABASE_URL")
    if (password !== "") assert.notInclude(banner, password)
  }).pipe(Effect.scoped)
)

it.live("a database that goes away is told to pages, and used again when it is back", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const env = { DATABASE_URL: Redacted.value(proxy.url) }
    const server = yield* startServer(env)
    const chat = chatOf(server, "c")
    yield* chat.ask("m")
    yield* chat.untilText("m")
    const page = request(`${server.url}/api/chats/c`)
    const events = yield* openPage(server.url, "c")

    yield* proxy.cut
    const problem = yield* until(page, ({ status }) => status === 503)
    assert.strictEqual(JSON.parse(problem.text).detail, "The database does not answer.")
    yield* until(Effect.sync(events), (told) => told.includes('"Database","answers":false'))
    // A page that is opened now must not take the chat for an empty one.
    const late = yield* openPage(server.url, "c")
    yield* until(Effect.sync(late), (told) => told.includes('"Alive"'))
    assert.include(late(), '"Database","answers":false')
    assert.notInclude(late(), '"Chat"')
    assert.strictEqual((yield* chat.ask("other")).status, 503)
    assert.strictEqual((yield* chat.stop("m")).status, 503)

    yield* proxy.mend
    yield* until(page, ({ status }) => status === 200)
    yield* until(Effect.sync(events), (told) => told.includes('"Database","answers":true'))
    yield* until(Effect.sync(late), (told) => told.includes('"Chat"'))
    assert.strictEqual((yield* chat.answer("m"))?.state, "running")
    const stop = yield* run("stop.ts", ["m"], env)
    assert.match(stop.stdout, /^Stopped m \(Ada's\) in \d+ ms\.\n$/)
    yield* chat.untilState("m", "stopped")

    const { password } = new URL(env.DATABASE_URL)
    const { stderr, stdout } = server.output()
    if (password !== "") assert.notInclude(stdout + stderr, password)
  }).pipe(Effect.scoped)
)

it.live("a text that PostgreSQL cannot keep is refused as what it is", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const chat = chatOf(yield* startServer({ DATABASE_URL: Redacted.value(url) }), "c")
    const { status, text } = yield* chat.ask("m", "a\0b")
    assert.strictEqual(status, 400)
    assert.include(JSON.parse(text).detail, "NUL")
    assert.deepStrictEqual(yield* chat.read, [])
  }).pipe(Effect.scoped)
)

it.live("a network that goes silent keeps no page waiting, nor Ctrl-C", () =>
  Effect.gen(function* () {
    const { url } = yield* Postgres.database
    const proxy = yield* TcpProxy.make(url)
    const server = yield* startServer({ DATABASE_URL: Redacted.value(proxy.url) })
    const chat = chatOf(server, "c")
    yield* chat.ask("m")
    yield* chat.untilText("m")

    yield* proxy.freeze
    const start = performance.now()
    assert.strictEqual((yield* request(`${server.url}/api/chats/c`)).status, 503)
    assert.isBelow(performance.now() - start, 15_000)

    yield* proxy.thaw
    yield* chat.untilText("m", 20)
    yield* proxy.freeze
    const end = performance.now()
    yield* server.signal("SIGINT")
    const { stderr } = yield* server.ended
    assert.isBelow(performance.now() - end, 1900)
    assert.match(
      stderr,
      /Waiting for the database, to save 1 answer \.\.\.\nEnded without it: .*\n$/
    )
  }).pipe(Effect.scoped)
)
