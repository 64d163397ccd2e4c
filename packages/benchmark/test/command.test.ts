// `npm run bench` as a person meets it: what it says, its exit code, and what it leaves behind.
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { PgConnection } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { afterEach, assert, beforeEach, describe, inject, it } from "vitest"
import { parts } from "../src/parts.ts"

const postgres = inject("postgresUrl")

let folder = ""
let started: ChildProcess | undefined

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-command-"))
  // The user who runs PostgreSQL where root may not must come through it.
  fs.chmodSync(folder, 0o711)
})
afterEach(() => {
  // Of a test that failed.
  started?.kill()
  fs.rmSync(folder, { recursive: true, force: true })
})

const start = (args: ReadonlyArray<string>, url?: string) => {
  const child = spawn(
    process.execPath,
    [path.join(import.meta.dirname, "..", "src", "main.ts"), ...args],
    {
      env: { ...process.env, DATABASE_URL: url, TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"]
    }
  )
  started = child
  const said = { stdout: "", stderr: "" }
  child.stdout.on("data", (text) => (said.stdout += text))
  child.stderr.on("data", (text) => (said.stderr += text))
  // Its output closes when it and all that it has started are gone.
  const ended = once(child, "close").then(() => ({ ...said, code: child.exitCode }))
  return { child, ended }
}

const run = (args: ReadonlyArray<string>, url?: string) => start(args, url).ended

const until = async (isSo: () => boolean | Promise<boolean>) => {
  while (!(await isSo())) await pause(10)
}

const query = (statement: string): Promise<ReadonlyArray<ReadonlyArray<unknown>>> =>
  PgConnection.make({ url: Redacted.make(postgres) }).pipe(
    Effect.flatMap((connection) => connection.queryValues(statement)),
    Effect.scoped,
    Effect.runPromise
  )

const databasesOf = async ({ pid }: ChildProcess): Promise<ReadonlyArray<string>> => {
  const rows = await query(
    `SELECT datname FROM pg_database WHERE datname LIKE 'effect\\_cancellation\\_benchmark\\_${pid}\\_%'`
  )
  return rows.map(([name]) => String(name))
}

const temporary = (): ReadonlyArray<string> => fs.readdirSync(folder)

describe("The arguments", () => {
  it.each(["nonsense", "--quik"])("%s is refused, with the list of parts", async (argument) => {
    const { code, stderr, stdout } = await run(["--quick", argument])
    assert.strictEqual(code, 1)
    assert.strictEqual(stdout, "")
    assert.include(stderr.split("\n")[0], `"${argument}"`)
    for (const { about, name } of parts)
      assert.match(stderr, new RegExp(`${name} +${about.slice(0, 10)}`))
  })

  it.each(["--help", "-h"])("%s says how it is used", async (argument) => {
    const { code, stderr, stdout } = await run([argument, "nonsense"])
    assert.strictEqual(code, 0)
    assert.strictEqual(stderr, "")
    for (const { name } of parts) assert.include(stdout, ` ${name} `)
  })
})

describe("Without a PostgreSQL that can be used", () => {
  it("what needs none is measured, and the rest is named", async () => {
    const url = "postgres://somebody:hunter2@127.0.0.1:1/none"
    const { code, stderr, stdout } = await run(["--quick", "isCancelled", "reads"], url)
    assert.strictEqual(code, 1)
    assert.lengthOf(stderr.trim().split("\n"), 1)
    assert.match(stderr, /DATABASE_URL at 127\.0\.0\.1:1 .*ECONNREFUSED/)
    assert.notInclude(stderr + stdout, "hunter2")
    assert.match(stdout, /isCancelled: times Ref.get/)
    assert.match(stdout, /^Left out.*: reads$/m)
    assert.deepStrictEqual(temporary(), [])
  })

  it.each(["postgres://somebody:hunter2/3@127.0.0.1", "hunter2"])(
    "nothing is shown of an address that cannot be read: %s",
    async (url) => {
      const { code, stderr, stdout } = await run(["--quick", "reads"], url)
      assert.strictEqual(code, 1)
      assert.match(stderr, /^The PostgreSQL of DATABASE_URL cannot be used: .+\n$/)
      assert.notInclude(stderr + stdout, "hunter2")
    }
  )
})

describe("Told to end", () => {
  it("while a database is there, it drops it", async () => {
    const { child, ended } = start(["--quick", "latency-polling"], postgres)
    await until(async () => (await databasesOf(child)).some((name) => name.endsWith("_1")))
    child.kill("SIGINT")
    const { code, stderr } = await ended
    assert.strictEqual(code, 130)
    assert.lengthOf(stderr.trim().split("\n"), 1)
    assert.deepStrictEqual(await databasesOf(child), [])
    assert.deepStrictEqual(temporary(), [])
  })

  it("while its own PostgreSQL starts, it ends and removes it", async () => {
    const { child, ended } = start(["--quick", "reads"])
    await until(() => temporary().length > 0)
    child.kill("SIGTERM")
    const { code, stderr } = await ended
    assert.strictEqual(code, 143)
    assert.lengthOf(stderr.trim().split("\n"), 1)
    assert.deepStrictEqual(temporary(), [])
  })

  it("while a part has files of its own, it removes them", async () => {
    const { child, ended } = start(["--quick", "import"])
    const files = () => temporary().flatMap((name) => fs.readdirSync(path.join(folder, name)))
    await until(() => files().some((name) => name.startsWith("effect-cancellation-import-")))
    child.kill("SIGINT")
    assert.strictEqual((await ended).code, 130)
    assert.deepStrictEqual(temporary(), [])
  })
})

describe("While a part runs", () => {
  it("nobody reads the password, and a kill ends all of its processes", async () => {
    const url = new URL(postgres)
    url.password ||= "not-to-be-seen"
    // Not a quick one: left alone, its processes would outlast the test.
    const { child, ended } = start(["latency-polling"], url.href)
    const isAtWork = async () =>
      (await databasesOf(child)).some((name) => name.endsWith("_1")) &&
      argumentsOfAll().includes("requester.ts")
    await until(isAtWork)
    assert.notInclude(argumentsOfAll(), `:${url.password}@`)
    child.kill("SIGKILL")
    await ended
    for (const name of await databasesOf(child)) await query(`DROP DATABASE ${name} WITH (FORCE)`)
  })
})

const argumentsOfAll = (): string =>
  spawnSync("ps", ["-A", "-ww", "-o", "args"], { encoding: "utf8" }).stdout
