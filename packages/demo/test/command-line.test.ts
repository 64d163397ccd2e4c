// What the programs say that they cannot do.
import path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import { chatOf } from "./ChatClient.ts"
import { run, startServer } from "./DemoProcess.ts"
import { sqlite, temporaryFolder } from "./places.ts"

vi.setConfig({ testTimeout: 90_000 })

it.live("the command line says in one line why it cannot", () =>
  Effect.gen(function* () {
    const env = yield* sqlite
    const chat = chatOf(yield* startServer(env, { speed: 50 }), "c")
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
      const { code, stderr, stdout } = yield* run("stop.ts", args, env)
      assert.match(stderr, line)
      assert.strictEqual(stdout, "")
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)

it.live("every program says how it is used, and takes no argument it does not know", () =>
  Effect.gen(function* () {
    const env = { ...(yield* sqlite), PORT: "0" }
    const folder = path.join(yield* temporaryFolder, "share")
    for (const script of ["main.ts", "postgres.ts", "stop.ts", "messages.ts"] as const) {
      const help = yield* run(script, ["--help"], { ...env, XDG_DATA_HOME: folder })
      assert.match(
        help.stdout,
        /^Usage: npm .*\n\nVariables; one that is empty counts as not set:\n/
      )
      assert.match(help.stdout, /\n {2}DEMO_DATA +the folder of the data\. Default: \/.+\n/)
      // root's PostgreSQL is another user's, who may not come into every folder
      if (process.platform === "linux" && script !== "postgres.ts") {
        assert.include(help.stdout, path.join(folder, "effect-cancellation-demo"))
      }
      assert.deepStrictEqual([help.stderr, help.code], ["", 0])
      const wrong = yield* run(script, ["--foo"], env)
      assert.match(wrong.stderr, /^"?--foo"? is .*Usage: npm .*\n$/)
      assert.deepStrictEqual([wrong.stdout, wrong.code], ["", 1])
    }
    assert.strictEqual((yield* run("messages.ts", ["foo"], env)).code, 1)
  }).pipe(Effect.scoped)
)

it.live("what is to become of an answer nobody looks at is one of two things", () =>
  Effect.gen(function* () {
    const { code, stderr } = yield* run("main.ts", [], { DEMO_ON_DISCONNECT: "wait", PORT: "0" })
    assert.strictEqual(stderr, 'DEMO_ON_DISCONNECT is "wait"; it must be continue or stop.\n')
    assert.strictEqual(code, 1)
  })
)

it.live("a port that is taken, or is none, is said in one line", () =>
  Effect.gen(function* () {
    const env = yield* sqlite
    const { port } = yield* startServer(env)
    const taken = yield* run("main.ts", [], { ...env, PORT: String(port) })
    assert.match(taken.stderr, new RegExp(`^Port ${port} is taken\\..*\\n$`))
    assert.strictEqual(taken.code, 1)
    for (const wrong of ["abc", "-1", "65536", "3000.5", "0x10"]) {
      const { code, stderr } = yield* run("main.ts", [], { ...env, PORT: wrong })
      assert.match(stderr, /^PORT is ".*"; it must be a whole number from 0 to 65535\.\n$/)
      assert.strictEqual(code, 1)
    }
  }).pipe(Effect.scoped)
)
