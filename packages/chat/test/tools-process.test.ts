// A tool's child process ends with the stop: SIGTERM at once, SIGKILL after `forceKillAfter`.
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Tool, Toolkit } from "effect/ai"
import { type ChildProcess, ChildProcessSpawner } from "effect/process"
import { ChatService, Uncancellable } from "../src/index.ts"
import * as Chat from "./support/chat.ts"
import { stopped, stoppedCalls } from "./tools.fixture.ts"
import { makeReports, type Reporter } from "./tools-process.fixture.ts"

const Run = Tool.make("Run", {
  success: Schema.String,
  failure: Schema.String,
  failureMode: "return",
  dependencies: [ChatService]
})

/**
 * An agent's toolkit, whose only tool runs this and answers what it prints; cut short, it stores what
 * was printed so far. `underWay` waits until the first line is there.
 */
const toolkitOf = Effect.fnUntraced(function* (
  command: ChildProcess.Command,
  tool: typeof Run = Run
) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const begun = yield* Deferred.make<void>()
  const printed: Array<string> = []
  const run = spawner.streamLines(command).pipe(
    Stream.runForEach((line) => {
      printed.push(line)
      return Deferred.succeed(begun, undefined)
    }),
    Effect.mapError(({ message }) => message),
    Effect.map(() => printed.join("\n")),
    Effect.onInterrupt(() =>
      Effect.flatMap(ChatService, (chat) =>
        Effect.ignore(chat.saveAssistantMessage({ debugInfo: { printed } }))
      )
    )
  )
  const tools = Toolkit.make(tool)
  const toolkit = yield* Effect.provide(tools, tools.toLayer({ Run: () => run }))
  return { toolkit, underWay: Deferred.await(begun) }
})

const env = Layer.mergeAll(Chat.layer, NodeServices.layer, Logger.layer([]))

describe("the child process of a tool", () => {
  it.live("gets SIGTERM at the stop, and is gone when the agent ends", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      const { toolkit, underWay } = yield* toolkitOf(command("tool", []))
      const calls = yield* stoppedCalls(toolkit, underWay)
      assert.deepStrictEqual(calls, ["Run: interrupted"])
      const { gone, pid, signals } = yield* Queue.take(started)
      assert.isFalse(isAlive(pid))
      assert.strictEqual(yield* Queue.take(signals), "SIGTERM")
      yield* gone
      assert.strictEqual((yield* Chat.storedRun)?.outcome, "stopped")
      assert.deepStrictEqual((yield* Chat.stored()).debugInfo, { printed: ["tool was here"] })
    }).pipe(Effect.provide(env))
  )

  it.live("is killed if it ignores that, and the agent ends only then", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      const { toolkit, underWay } = yield* toolkitOf(command("tool", ["stay"], "1 second"))
      const calls = yield* stoppedCalls(toolkit, underWay)
      assert.deepStrictEqual(calls, ["Run: interrupted"])
      const { gone, pid, signals } = yield* Queue.take(started)
      assert.isFalse(isAlive(pid))
      assert.strictEqual(yield* Queue.take(signals), "SIGTERM")
      yield* gone
      assert.strictEqual((yield* Chat.storedRun)?.outcome, "stopped")
    }).pipe(Effect.provide(env))
  )

  it.live("is killed with the children that it has, though it ended by itself at SIGTERM", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      const { toolkit, underWay } = yield* toolkitOf(command("tool", ["parent"], "1 second"))
      const family = yield* Deferred.make<ReadonlyArray<Reporter>>()
      const calls = yield* stoppedCalls(
        toolkit,
        Effect.andThen(
          underWay,
          Effect.flatMap(Queue.takeN(started, 2), (both) => Deferred.succeed(family, both))
        )
      )
      assert.deepStrictEqual(calls, ["Run: interrupted"])
      for (const { gone, name, signals } of yield* Deferred.await(family)) {
        assert.strictEqual(yield* Queue.take(signals), "SIGTERM", name)
        yield* gone
      }
    }).pipe(Effect.provide(env))
  )

  it.effect("is given up by a run with a shorter grace period, and killed all the same", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      // By the system's clock, while the run's is the test's.
      const { toolkit, underWay } = yield* toolkitOf(command("tool", ["stay"], "3 seconds"))
      const agent = yield* stopped(toolkit, underWay, { gracePeriod: "1 second" })
      const { gone, signals } = yield* Queue.take(started)
      assert.strictEqual(yield* Queue.take(signals), "SIGTERM")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "Stopped")
      assert.strictEqual((yield* Chat.storedRun)?.outcome, "abandoned")
      yield* gone
    }).pipe(Effect.provide(env))
  )

  it.effect("that is never killed holds the agent up until the run's grace period is over", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      const { toolkit, underWay } = yield* toolkitOf(command("tool", ["stay"]))
      const agent = yield* stopped(toolkit, underWay, { gracePeriod: "10 minutes" })
      const { finish, gone, isGone, signals } = yield* Queue.take(started)
      assert.strictEqual(yield* Queue.take(signals), "SIGTERM")
      yield* TestClock.adjust("9 minutes")
      assert.isUndefined(agent.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "Stopped")
      assert.strictEqual((yield* Chat.storedRun)?.outcome, "abandoned")
      assert.isFalse(isGone())
      yield* finish
      yield* gone
    }).pipe(Effect.provide(env))
  )

  it.live(
    "leaves a child of its own behind that ignores SIGTERM, if it is never to be killed",
    () =>
      Effect.gen(function* () {
        const { command, started } = yield* makeReports
        const { toolkit, underWay } = yield* toolkitOf(command("tool", ["parent"]))
        const family = yield* Deferred.make<ReadonlyArray<Reporter>>()
        yield* stoppedCalls(
          toolkit,
          Effect.andThen(
            underWay,
            Effect.flatMap(Queue.takeN(started, 2), (both) => Deferred.succeed(family, both))
          )
        )
        const left = (yield* Deferred.await(family)).filter(({ isGone }) => !isGone())
        assert.deepStrictEqual(
          left.map(({ name }) => name),
          ["tool's child"]
        )
        for (const { finish, gone } of left) yield* Effect.andThen(finish, gone)
      }).pipe(Effect.provide(env))
  )

  it.live("runs on if the tool is uncancellable, and is told nothing of the stop", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      const tool = Run.annotate(Uncancellable, true)
      const { toolkit, underWay } = yield* toolkitOf(command("tool", []), tool)
      const agent = yield* stopped(toolkit, underWay)
      const { finish, gone, signals } = yield* Queue.take(started)
      yield* finish
      const result = yield* Fiber.join(agent)
      assert(result._tag === "Stopped" && result.underWay._tag === "Tools")
      assert.deepStrictEqual(
        result.underWay.calls.map(({ end, result: told }) => [end, told]),
        [["ranOn", "tool was here"]]
      )
      yield* gone
      assert.strictEqual(yield* Queue.size(signals), 0)
    }).pipe(Effect.provide(env))
  )

  it.live("is not held up by what it has to say at SIGTERM and nobody reads", () =>
    Effect.gen(function* () {
      const { command, started } = yield* makeReports
      const { toolkit, underWay } = yield* toolkitOf(command("tool", ["last-words"]))
      const calls = yield* stoppedCalls(toolkit, underWay)
      assert.deepStrictEqual(calls, ["Run: interrupted"])
      yield* (yield* Queue.take(started)).gone
    }).pipe(Effect.provide(env))
  )
})

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
