// What is different on a file.
import { existsSync, writeFileSync } from "node:fs"
import path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import { chatOf } from "./ChatClient.ts"
import { run, startServer } from "./DemoProcess.ts"
import { temporaryFolder } from "./places.ts"

vi.setConfig({ testTimeout: 90_000 })

it.live("servers that start on a new file at the same time make its tables once", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    yield* Effect.forEach([1, 2, 3], () => startServer({ DEMO_DATA: folder }), {
      concurrency: "unbounded"
    })
    const file = new DatabaseSync(path.join(folder, "demo.sqlite"))
    const [row] = file.prepare("SELECT count(*) AS made FROM effect_cancellation_migrations").all()
    file.close()
    assert.strictEqual(row?.["made"], 2)
  }).pipe(Effect.scoped)
)

it.live("a database of a newer version is refused, and left as it is", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const file = path.join(folder, "demo.sqlite")
    const server = yield* startServer({ DEMO_DATA: folder })
    yield* server.signal("SIGINT")
    yield* server.ended
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
      assert.match(stderr, /^The database cannot be used \(.*\): a newer version .*\n$/)
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
    assert.include(yield* at(stood), path.join(stood, "data", "demo.sqlite"))
    assert.include(yield* at(undefined), path.join(process.cwd(), "data", "demo.sqlite"))
  }).pipe(Effect.scoped)
)

it.live("Ctrl-C ends within two seconds while somebody holds the database", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const server = yield* startServer({ DEMO_DATA: folder })
    const chat = chatOf(server, "c")
    yield* chat.ask("m")
    yield* chat.untilText("m")
    const database = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(path.join(folder, "demo.sqlite"), { timeout: 5000 })),
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
