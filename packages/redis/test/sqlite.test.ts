import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { assert, beforeEach, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { MessageRef, MessageRepo, RunQuery } from "effect-cancellation"
import { until } from "../../sql/test/support/until.ts"
import { RedisStopSignal } from "../src/index.ts"
import { timed } from "./signal.fixture.ts"
import { sqliteRepo } from "./sqliteRepo.ts"
import * as Redis from "./support/Redis.ts"

beforeEach(Redis.skipWithoutShared)

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
)

const startAgent = (args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [path.join(import.meta.dirname, "agent.child.ts"), ...args],
        { env: { ...process.env, REDIS_URL: Redacted.value(Redis.shared) } }
      )
      let output = ""
      child.stdout.on("data", (data) => (output += data))
      child.stderr.on("data", (data) => (output += data))
      return { child, output: () => output, exitCode: () => child.exitCode }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

describe("two processes on a file of SQLite", () => {
  it.live("stop each other's agents at once, though they poll once an hour", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const filename = path.join(folder, "stops.sqlite")
      const channel = `sqlite:${crypto.randomUUID()}`
      const repo = Context.get(
        yield* Layer.build(
          sqliteRepo(filename, RedisStopSignal.layer({ url: Redis.shared, channel }))
        ),
        MessageRepo
      )
      const { subscribers } = yield* Redis.operator(Redis.shared)
      const ref = MessageRef.of({ chatId: "chat", messageId: "message" })
      const agent = yield* startAgent([filename, channel, ref.chatId, ref.messageId])
      yield* until(
        repo.findRuns(RunQuery.cases.Refs.make({ refs: [ref] })),
        (runs) => runs.length === 1
      )
      yield* until(subscribers(channel), (count) => count === 2)
      const took = yield* timed(
        Effect.andThen(
          repo.requestStop(ref),
          until(Effect.sync(agent.output), (output) => output.includes("stopped"))
        )
      )
      assert.strictEqual(agent.output(), "runs\nstopped by hint\n")
      assert.isBelow(took, 2000)
      // nothing keeps the process: no connection, no timer
      yield* until(Effect.sync(agent.exitCode), (code) => code === 0)
    })
  )
})
