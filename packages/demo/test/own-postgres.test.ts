// `npm run demo:postgres`, on any machine.
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import { chatOf, request } from "./ChatClient.ts"
import { run, startServer, until } from "./DemoProcess.ts"
import { temporaryFolder } from "./places.ts"

vi.setConfig({ testTimeout: 120_000 })

// PostgreSQL does not run as root; whoever it runs as must come through.
const newFolder = Effect.map(temporaryFolder, (folder) => {
  chmodSync(folder, 0o711)
  return folder
})

const start = (folder: string) => startServer({ DEMO_DATA: folder }, { script: "postgres.ts" })

const urlIn = (folder: string) => path.join(folder, "postgres", "url")

const reach = (folder: string) => ({ DATABASE_URL: readFileSync(urlIn(folder), "utf8").trim() })

/** The server's process, from the file that it has while it runs. */
const processIn = (folder: string): number =>
  Number(
    readFileSync(path.join(folder, "postgres", "data", "postmaster.pid"), "utf8").split("\n")[0]
  )

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const untilGone = (pid: number) =>
  until(
    Effect.sync(() => isAlive(pid)),
    (alive) => !alive,
    "10 seconds"
  )

it.live("serves on a PostgreSQL of its own, which ends with it and keeps what was written", () =>
  Effect.gen(function* () {
    const folder = yield* newFolder
    const server = yield* start(folder)
    assert.include(server.banner, `PostgreSQL in ${path.join(folder, "postgres")}\n`)
    assert.include(server.banner, `export DATABASE_URL="$(cat ${urlIn(folder)})"\n`)
    assert.strictEqual((yield* request(server.url)).status, 200)
    const chat = chatOf(server, "c")
    yield* chat.ask("m")
    yield* chat.untilText("m")

    const env = reach(folder)
    const list = yield* run("messages.ts", [], env)
    assert.match(list.stdout, /\nm +c +Ada +\d+ s +running\n$/)
    const stop = yield* run("stop.ts", ["m"], env)
    assert.match(stop.stdout, /^Stopped m \(Ada's\) in \d+ ms\.\n$/, stop.stderr)

    const second = yield* run("postgres.ts", [], { DEMO_DATA: folder, PORT: "0" })
    assert.match(second.stderr, /^npm run demo:postgres runs already, on .*\n$/)
    assert.deepStrictEqual([second.stdout, second.code], ["", 1])

    yield* chat.ask("other")
    yield* chat.untilText("other")
    const pid = processIn(folder)
    const begin = performance.now()
    yield* server.signal("SIGINT")
    yield* server.ended
    assert.isBelow(performance.now() - begin, 1900)
    assert.isFalse(isAlive(pid))
    assert.isFalse(existsSync(urlIn(folder)))

    // what somebody read before is still right
    const again = chatOf(yield* start(folder), "c")
    assert.deepStrictEqual(reach(folder), env)
    assert.strictEqual((yield* again.answer("m"))?.state, "stopped")
    assert.strictEqual((yield* again.answer("other"))?.state, "interrupted")

    const { password } = new URL(env.DATABASE_URL)
    assert.isAbove(password.length, 20)
    const { stderr, stdout } = server.output()
    assert.notInclude(stdout + stderr, password)
    for (const name of ["password", "url"]) {
      assert.strictEqual(statSync(path.join(folder, "postgres", name)).mode & 0o777, 0o600)
    }
  }).pipe(Effect.scoped)
)

it.live("a PostgreSQL whose demo was killed ends, or is ended by the next start", () =>
  Effect.gen(function* () {
    const folder = yield* newFolder
    const first = yield* start(folder)
    const one = processIn(folder)
    yield* first.signal("SIGKILL")
    yield* first.ended
    yield* untilGone(one)

    // and its keeper
    const second = yield* start(folder)
    const two = processIn(folder)
    if (process.platform === "linux") process.kill(parentOf(two), "SIGKILL")
    yield* second.signal("SIGKILL")
    yield* second.ended
    const third = yield* start(folder)
    yield* untilGone(two)
    const chat = chatOf(third, "c")
    assert.strictEqual((yield* chat.ask("m")).status, 202)
    yield* chat.untilText("m")
  }).pipe(Effect.scoped)
)

const parentOf = (pid: number): number =>
  Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])

it.live("what keeps it from starting is said in one line", () =>
  Effect.gen(function* () {
    const folder = yield* newFolder
    const server = yield* start(folder)
    yield* server.signal("SIGINT")
    yield* server.ended
    const version = path.join(folder, "postgres", "data", "PG_VERSION")
    writeFileSync(version, "9.6\n")
    const { code, stderr, stdout } = yield* run("postgres.ts", [], { DEMO_DATA: folder, PORT: "0" })
    assert.match(stderr, /^PostgreSQL does not start: database files are incompatible .*\n$/)
    assert.deepStrictEqual([stdout, code], ["", 1])
  }).pipe(Effect.scoped)
)

it.live(
  "another port is taken if its own is not free, and DATABASE_URL is not; both are said",
  () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      const first = yield* start(folder)
      assert.notInclude(first.output().stdout, "ignored")
      const { port } = new URL(reach(folder).DATABASE_URL)
      yield* first.signal("SIGINT")
      yield* first.ended
      yield* occupy(Number(port))
      const env = { DEMO_DATA: folder, DATABASE_URL: "postgres://user:secret@localhost/other" }
      const { banner } = yield* startServer(env, { script: "postgres.ts" })
      assert.match(banner, /^DATABASE_URL is ignored: .*\n/)
      assert.notInclude(banner, "secret")
      const now = new URL(reach(folder).DATABASE_URL).port
      assert.notStrictEqual(now, port)
      assert.include(
        banner,
        `\nPort ${port}, where this PostgreSQL was before, is taken; now it is on port ${now}.`
      )
    }).pipe(Effect.scoped)
)

const occupy = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer().listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
