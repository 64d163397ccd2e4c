// Several processes that have nothing in common but the database.
import { existsSync, writeFileSync } from "node:fs"
import path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import { chatOf } from "./ChatClient.ts"
import { run, startServer, until } from "./DemoProcess.ts"
import { openFile, temporaryFolder } from "./SqliteFile.ts"

// Programs are started and waited for; on a busy machine that takes a while.
vi.setConfig({ testTimeout: 90_000 })

// A page that looks on; what it was told so far can be read at any time, also after a cut.
const openPage = Effect.fnUntraced(function* (url: string, chatId: string) {
  const { signal } = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const events = yield* Effect.promise(() => fetch(`${url}/api/chats/${chatId}/events`, { signal }))
  let told = ""
  const listen = async () => {
    const decoder = new TextDecoder()
    for await (const bytes of events.body ?? []) told += decoder.decode(bytes, { stream: true })
  }
  listen().catch((error: unknown) => (told += `\n${String(error)}`))
  return () => told
})

it.live("the command line stops a run of the server within the poll interval", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const chat = chatOf(yield* startServer({ folder }), "c")
    yield* chat.ask("m")
    yield* chat.untilText("m")

    const list = yield* run("messages.ts", [], { DEMO_DATA: folder })
    assert.match(list.stdout, /^MESSAGE +CHAT +SINCE +STATE\nm +c +\d+s +running\n$/)

    const stop = yield* run("stop.ts", ["m"], { DEMO_DATA: folder })
    assert.strictEqual(stop.code, 0, stop.stderr)
    const millis = /^Stopped m in (\d+) ms\.\n$/.exec(stop.stdout)?.[1]
    assert.isBelow(Number(millis), 1500)
    assert.strictEqual((yield* chat.answer("m"))?.state, "stopped")

    const after = yield* run("messages.ts", [], { DEMO_DATA: folder })
    assert.strictEqual(after.stdout, "Nothing runs.\n")
  }).pipe(Effect.scoped)
)

it.live("the command line stops all", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const server = yield* startServer({ folder })
    const chats = ["a", "b", "c"].map((name) => chatOf(server, name))
    yield* Effect.forEach(chats, (chat, index) => chat.ask(`m${index}`))
    yield* Effect.forEach(chats, (chat, index) => chat.untilText(`m${index}`))
    const { code, stdout } = yield* run("stop.ts", ["--all"], { DEMO_DATA: folder })
    assert.strictEqual(code, 0)
    assert.lengthOf(stdout.match(/^Stopped m\d in \d+ ms\.$/gm) ?? [], 3)
  }).pipe(Effect.scoped)
)

it.live("the command line says in one line why it cannot", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const chat = chatOf(yield* startServer({ folder, speed: 50 }), "c")
    yield* chat.ask("m")
    yield* chat.untilState("m", "completed")
    const refusals = [
      [["m"], /^Message m has ended already: completed\.\n$/],
      [["unknown"], /^There is no message unknown\..*\n$/],
      [["it's"], /^That is no message id\..*\n$/],
      [["x".repeat(300)], /^That is no message id\..*\n$/],
      [[""], /^That is no message id\..*\n$/],
      [[], /^Usage: .*\n$/],
      [["a", "b"], /^Usage: .*\n$/],
      [["--everything"], /^--everything is no option\..*\n$/]
    ] as const
    for (const [args, line] of refusals) {
      const { code, stderr, stdout } = yield* run("stop.ts", args, { DEMO_DATA: folder })
      assert.match(stderr, line)
      assert.strictEqual(stdout, "")
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)

it.live("every program says how it is used, and takes no argument it does not know", () =>
  Effect.gen(function* () {
    const env = { DEMO_DATA: yield* temporaryFolder, PORT: "0" }
    for (const script of ["main.ts", "stop.ts", "messages.ts"] as const) {
      const help = yield* run(script, ["--help"], env)
      assert.match(help.stdout, /^Usage: npm .*\n$/)
      assert.deepStrictEqual([help.stderr, help.code], ["", 0])
      const wrong = yield* run(script, ["--foo"], env)
      assert.match(wrong.stderr, /^"?--foo"? is .*Usage: npm .*\n$/)
      assert.deepStrictEqual([wrong.stdout, wrong.code], ["", 1])
    }
    assert.strictEqual((yield* run("messages.ts", ["foo"], env)).code, 1)
  }).pipe(Effect.scoped)
)

it.live("a database of a newer version is refused, and left as it is", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const file = path.join(folder, "chat.sqlite")
    yield* Effect.provide(Effect.void, openFile(file))
    const database = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(file)),
      (opened) => Effect.sync(() => opened.close())
    )
    database.exec("INSERT INTO effect_cancellation_migrations VALUES (3, '', 'later')")
    for (const [script, args] of [
      ["main.ts", []],
      ["stop.ts", ["--all"]],
      ["messages.ts", []]
    ] as const) {
      const { code, stderr } = yield* run(script, args, { DEMO_DATA: folder, PORT: "0" })
      assert.match(stderr, /^The database .* cannot be used: a newer version .*\n$/)
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)

it.live("a folder that cannot be made is said in one line, with its path once", () =>
  Effect.gen(function* () {
    const file = path.join(yield* temporaryFolder, "file")
    writeFileSync(file, "")
    const folders = [path.join(file, "below"), file]
    // Where Node's own recursive mkdir never ends.
    if (process.platform === "linux") folders.push("/proc/x/y")
    for (const folder of folders) {
      const { code, stderr } = yield* run("main.ts", [], { DEMO_DATA: folder, PORT: "0" })
      assert.match(stderr, /^The folder .* cannot be made: [a-z ]+\.\n$/)
      assert.lengthOf(stderr.split(folder), 2)
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)

it.live("a relative folder begins where the user of npm stands", () =>
  Effect.gen(function* () {
    const stood = yield* temporaryFolder
    const at = (cwd: string | undefined) =>
      Effect.map(
        run("messages.ts", [], { DEMO_DATA: "data", INIT_CWD: cwd }),
        ({ stderr }) => stderr
      )
    assert.include(yield* at(stood), path.join(stood, "data", "chat.sqlite"))
    assert.include(yield* at(undefined), path.join(process.cwd(), "data", "chat.sqlite"))
  }).pipe(Effect.scoped)
)

it.live("Ctrl-C ends within two seconds while somebody holds the database", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const server = yield* startServer({ folder })
    const chat = chatOf(server, "c")
    yield* chat.ask("m")
    yield* chat.untilText("m")
    const database = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(path.join(folder, "chat.sqlite"), { timeout: 5000 })),
      (opened) => Effect.sync(() => opened.close())
    )
    database.exec("BEGIN IMMEDIATE")
    const start = performance.now()
    yield* server.signal("SIGINT")
    yield* server.ended
    assert.isBelow(performance.now() - start, 1900)
  }).pipe(Effect.scoped)
)

it.live("the command line makes no database where there is none", () =>
  Effect.gen(function* () {
    const missing = path.join(yield* temporaryFolder, "missing")
    for (const [script, args] of [
      ["stop.ts", ["m"]],
      ["stop.ts", ["--all"]],
      ["messages.ts", []]
    ] as const) {
      const { code, stderr } = yield* run(script, args, { DEMO_DATA: missing })
      assert.match(stderr, /^There is no database at .*\n$/)
      assert.strictEqual(code, 1)
    }
    assert.isFalse(existsSync(missing))
  }).pipe(Effect.scoped)
)

it.live("Ctrl-C saves answers as interrupted, and ends within two seconds under open pages", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const server = yield* startServer({ folder })
    const chat = chatOf(server, "c")
    const page = yield* openPage(server.url, "c")
    yield* chat.ask("m")
    const before = yield* chat.untilText("m")
    const start = performance.now()
    yield* server.signal("SIGINT")
    yield* server.signal("SIGINT")
    yield* server.ended
    assert.isBelow(performance.now() - start, 2000)
    assert.include(page(), '"state":"interrupted"')

    const again = chatOf(yield* startServer({ folder }), "c")
    const after = yield* again.answer("m")
    assert.strictEqual(after?.state, "interrupted")
    assert.isUndefined(after?.receipt)
    assert.isTrue(after?.text.startsWith(before?.text ?? "-"))
  }).pipe(Effect.scoped)
)

for (const signal of ["SIGTERM", "SIGHUP"] as const) {
  it.live(`${signal} ends a server in the same way`, () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* startServer({ folder })
      const chat = chatOf(server, "c")
      yield* chat.ask("m")
      yield* chat.untilText("m")
      const start = performance.now()
      yield* server.signal(signal)
      yield* server.ended
      assert.isBelow(performance.now() - start, 2000)
      const again = chatOf(yield* startServer({ folder }), "c")
      assert.strictEqual((yield* again.answer("m"))?.state, "interrupted")
    }).pipe(Effect.scoped)
  )
}

it.live("a second server beside the first shows its answers growing, and marks none of them", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const first = chatOf(yield* startServer({ folder, speed: 3 }), "c")
    yield* first.ask("m")
    yield* first.untilText("m")
    const second = chatOf(yield* startServer({ folder }), "c")
    const some = yield* second.untilText("m")
    const more = yield* second.untilText("m", (some?.text.length ?? 0) + 20)
    assert.strictEqual(more?.state, "running")
    yield* first.untilState("m", "completed")
    assert.strictEqual((yield* second.answer("m"))?.state, "completed")
  }).pipe(Effect.scoped)
)

it.live("an answer on one server is stopped from another", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const first = chatOf(yield* startServer({ folder }), "c")
    const second = chatOf(yield* startServer({ folder }), "c")
    yield* first.ask("m")
    yield* second.untilText("m")
    yield* second.stop("m")
    const stopped = yield* second.untilState("m", "stopped")
    assert.deepStrictEqual(yield* first.answer("m"), stopped)
  }).pipe(Effect.scoped)
)

it.live("an idle server says of a killed one's answers that they are lost", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const killed = yield* startServer({ folder })
    const first = chatOf(killed, "c")
    yield* first.ask("m")
    yield* first.untilText("m")
    const other = chatOf(yield* startServer({ folder }), "c")
    yield* killed.signal("SIGKILL")
    yield* killed.ended
    const lost = yield* other.untilState("m", "lost")
    assert.isAbove(lost?.text.length ?? 0, 0)
    // and it can be written anew
    assert.strictEqual((yield* other.regenerate("m", "m-2")).status, 202)
    yield* until(other.answer("m"), (message) => message?.state === "running")
  }).pipe(Effect.scoped)
)

it.live("a port that is taken, or is none, is said in one line", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const { port } = yield* startServer({ folder })
    const taken = yield* run("main.ts", [], { DEMO_DATA: folder, PORT: String(port) })
    assert.match(taken.stderr, new RegExp(`^Port ${port} is taken\\..*\\n$`))
    assert.strictEqual(taken.code, 1)
    for (const wrong of ["abc", "-1", "65536", "3000.5", "0x10"]) {
      const { code, stderr } = yield* run("main.ts", [], { DEMO_DATA: folder, PORT: wrong })
      assert.match(stderr, /^PORT is ".*"; it must be a whole number from 0 to 65535\.\n$/)
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)
