// Two processes that have nothing in common but a file of SQLite: the parent runs here, its child there.
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import {
  CancellationWatcher,
  MessageRef,
  MessageRepo,
  Run,
  RunId,
  RunQuery,
  StopIntent,
  UserId
} from "effect-cancellation"
import { until } from "../../sql/test/support/until.ts"
import { ChildRuns, type FollowOptions } from "../src/ChildRuns.ts"
import { sqliteRepo } from "./child-processes.fixture.ts"

const run = (name: string) =>
  Run.make({
    ref: MessageRef.of({ chatId: "chat", messageId: name }),
    runId: RunId.make(`${name}-run`)
  })
const [parent, child] = [run("parent"), run("child")]

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(path.join(os.tmpdir(), "effect-cancellation-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
)

/** A file of SQLite, the parent's process on it, and a way to start the child's. */
const setUp = Effect.gen(function* () {
  const filename = path.join(yield* temporaryFolder, "stops.sqlite")
  const context = yield* Layer.build(ChildRuns.layer.pipe(Layer.provideMerge(sqliteRepo(filename))))
  const repo = Context.get(context, MessageRepo)

  const startChild = (options: { readonly pollMillis: number }) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const program = path.join(import.meta.dirname, "child-run.child.ts")
        const { chatId, messageId } = child.ref
        const args = [program, filename, chatId, messageId, child.runId, `${options.pollMillis}`]
        const started = spawn(process.execPath, args)
        let output = ""
        started.stdout.on("data", (data) => (output += data))
        started.stderr.on("data", (data) => (output += data))
        return {
          started,
          says: (what: string) =>
            until(
              Effect.sync(() => output),
              (said) => said.includes(what)
            ),
          /** What it has said by its end, which nothing keeps it from. */
          over: Effect.map(
            until(
              Effect.sync(() => started.exitCode),
              (code) => code !== null
            ),
            (code) => ({ code, lines: output.trim().split("\n").toSorted() })
          )
        }
      }),
      ({ started }) => Effect.sync(() => void started.kill("SIGKILL"))
    )

  /** The parent follows its child until it is stopped. */
  const followed = Effect.fnUntraced(function* (options?: FollowOptions) {
    const follows = yield* Deferred.make<CancellationWatcher["Service"]>()
    const fiber = yield* ChildRuns.follow(child, options).pipe(
      Effect.andThen(CancellationWatcher),
      Effect.tap((watcher) => Deferred.succeed(follows, watcher)),
      Effect.andThen(Effect.never),
      Effect.scoped,
      CancellationWatcher.runWithCancellation({ cancelResult: "parent stopped" }),
      Effect.provide(CancellationWatcher.layer({ ...parent, pollInterval: "1 hour" })),
      Effect.provide(context),
      Effect.forkScoped
    )
    return { fiber, watcher: yield* Deferred.await(follows) }
  })

  const recordOf = ({ ref }: Run) =>
    Effect.map(repo.findRuns(RunQuery.cases.Refs.make({ refs: [ref] })), (records) => records[0])

  return {
    startChild,
    followed,
    recordOf,
    stop: (target: Run) =>
      repo.requestStop(
        target,
        StopIntent.make({ reason: "user", requestedBy: UserId.make("ann"), note: "private" })
      ),
    /** The store knows it: a stop of it is no tombstone. */
    known: (one: Run) => until(recordOf(one), (record) => record !== undefined)
  }
})

describe("a parent here and its child in another process", () => {
  it.live("a stop of the parent reaches the child, and its child, with the reason parent", () =>
    Effect.gen(function* () {
      const { followed, known, recordOf, startChild, stop } = yield* setUp
      const { fiber } = yield* followed()
      const other = yield* startChild({ pollMillis: 20 })
      yield* other.says("grandchild runs")
      yield* known(child)
      yield* known(parent)
      yield* stop(parent)
      assert.strictEqual(yield* Fiber.join(fiber), "parent stopped")
      assert.deepStrictEqual(yield* other.over, {
        code: 0,
        lines: [
          "child runs",
          "child stopped: parent, by poll",
          "grandchild runs",
          "grandchild stopped: parent, by local"
        ]
      })
      const [above, below] = [yield* recordOf(parent), yield* recordOf(child)]
      assert.deepStrictEqual([above?.outcome, below?.outcome], ["stopped", "stopped"])
      assert.strictEqual(below?.request?.reason, "parent")
      assert.strictEqual(below?.request?.requestedBy, "ann")
      assert.isUndefined(below?.request?.note)
    })
  )

  it.live("a stop of the child leaves the parent running", () =>
    Effect.gen(function* () {
      const { followed, known, recordOf, startChild, stop } = yield* setUp
      const { fiber, watcher } = yield* followed()
      const other = yield* startChild({ pollMillis: 20 })
      yield* known(child)
      yield* stop(child)
      const { code, lines } = yield* other.over
      assert.strictEqual(code, 0)
      assert.includeMembers([...lines], ["grandchild stopped: parent, by local"])
      assert.strictEqual((yield* recordOf(child))?.outcome, "stopped")
      assert.strictEqual((yield* recordOf(child))?.request?.reason, "user")
      assert.isFalse(yield* watcher.check)
      assert.isUndefined(fiber.pollUnsafe())
      yield* known(parent)
      yield* stop(parent)
      assert.strictEqual(yield* Fiber.join(fiber), "parent stopped")
      assert.strictEqual((yield* recordOf(child))?.request?.reason, "user")
    })
  )

  it.live("a child that is started after the stop of its parent is stopped as it begins", () =>
    Effect.gen(function* () {
      const { followed, known, recordOf, startChild, stop } = yield* setUp
      const { fiber } = yield* followed()
      yield* known(parent)
      yield* stop(parent)
      assert.strictEqual(yield* Fiber.join(fiber), "parent stopped")
      assert.isUndefined(yield* recordOf(child))
      // it would not look again for an hour
      const other = yield* startChild({ pollMillis: 3_600_000 })
      const { code, lines } = yield* other.over
      assert.strictEqual(code, 0)
      assert.includeMembers([...lines], ["child stopped: parent, by start"])
      assert.strictEqual((yield* recordOf(child))?.outcome, "stopped")
    })
  )

  it.live("a child that is to continue outlives its parent, until it is stopped itself", () =>
    Effect.gen(function* () {
      const { followed, known, recordOf, startChild, stop } = yield* setUp
      const { fiber } = yield* followed({ onParentStop: "continue" })
      const other = yield* startChild({ pollMillis: 20 })
      yield* known(child)
      yield* known(parent)
      yield* stop(parent)
      assert.strictEqual(yield* Fiber.join(fiber), "parent stopped")
      const left = yield* recordOf(child)
      assert.isUndefined(left?.request)
      assert.isUndefined(left?.outcome)
      yield* stop(child)
      const { lines } = yield* other.over
      assert.includeMembers([...lines], ["child stopped: user, by poll"])
    })
  )
})
