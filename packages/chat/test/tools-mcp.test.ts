// A tool's call to an MCP server is cancelled by the stop, and the connection goes on.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { McpClient, McpProtocol, Tool, Toolkit } from "effect/ai"
import { AgentLoop, ChatService } from "../src/index.ts"
import * as Chat from "./support/chat.ts"
import * as ScriptedModel from "./support/scriptedModel.ts"
import { stopped, stoppedCalls } from "./tools.fixture.ts"
import { type Heard, Journal, layerHttp, layerStdio } from "./tools-mcp.fixture.ts"

/** By each transport: how the server hears of the stop. */
const transports = {
  "stdio, 2025-11-25": {
    client: layerStdio(McpProtocol.v2025_11_25),
    hears: { cancelled: true, closed: false }
  },
  "stdio, 2026-07-28": {
    client: layerStdio(McpProtocol.v2026_07_28),
    hears: { cancelled: true, closed: false }
  },
  "HTTP, 2025-11-25": {
    client: layerHttp(McpProtocol.v2025_11_25),
    hears: { cancelled: true, closed: true }
  },
  // Here a closed response is the cancellation.
  "HTTP, 2026-07-28": {
    client: layerHttp(McpProtocol.v2026_07_28),
    hears: { cancelled: false, closed: true }
  }
}

for (const [transport, { client, hears }] of Object.entries(transports)) {
  const env = Layer.mergeAll(
    Chat.layer,
    Layer.provideMerge(client, Journal.layer),
    Logger.layer([])
  )

  describe(`an MCP call over ${transport}`, () => {
    it.live("is cancelled by the stop, and no other; the next turn calls again", () =>
      Effect.gen(function* () {
        const { entries, until } = yield* Journal
        const beside = yield* Effect.forkChild(call("Wait"))
        yield* until(is("Began", "Wait"))

        const calls = yield* stopWhileIn("Hang")
        assert.deepStrictEqual(calls, ["Hang: interrupted"])
        yield* until(is("Interrupted", "Hang"))
        const ids = callsOf(entries, "Hang")
        assert.lengthOf(ids, 1)
        if (hears.cancelled) yield* until((entry) => cancelledIn([entry]).length === 1)
        if (hears.closed) yield* until((entry) => closedIn([entry]).length === 1)

        assert.isUndefined(beside.pollUnsafe())
        assert.include(JSON.stringify(yield* call("Release")), "released")
        assert.include(JSON.stringify(yield* Fiber.join(beside)), "waited")
        assert.deepStrictEqual(cancelledIn(entries), hears.cancelled ? ids : [])
        assert.deepStrictEqual(closedIn(entries), hears.closed ? ids : [])
        assert.lengthOf(
          entries.filter(({ _tag }) => _tag === "Interrupted"),
          1
        )
      }).pipe(Effect.provide(env))
    )

    it.live("that does not obey holds nobody up", () =>
      Effect.gen(function* () {
        const { entries, until } = yield* Journal
        const calls = yield* stopWhileIn("Resist")
        assert.deepStrictEqual(calls, ["Resist: interrupted"])
        const ids = callsOf(entries, "Resist")
        if (hears.cancelled) yield* until((entry) => cancelledIn([entry])[0] === ids[0])
        if (hears.closed) yield* until((entry) => closedIn([entry])[0] === ids[0])
        assert.include(JSON.stringify(yield* call("Release")), "released")
      }).pipe(Effect.provide(env))
    )
  })
}

describe("an MCP server that does not answer the cancellation, over HTTP, 2025-11-25", () => {
  const client = layerHttp(McpProtocol.v2025_11_25, "notifications/cancelled")
  const env = Layer.mergeAll(
    Chat.layer,
    Layer.provideMerge(client, Journal.layer),
    Logger.layer([])
  )
  const stopInHang = (options: Parameters<typeof stopped>[2]) =>
    Effect.gen(function* () {
      const { until } = yield* Journal
      const tools = yield* McpClient.toolkit(yield* McpClient.McpClient)
      const agent = yield* stopped(tools, until(is("Began", "Hang")), {
        calls: ["Hang"],
        ...options
      })
      yield* until((entry) => cancelledIn([entry]).length === 1)
      return agent
    })

  it.effect("holds the agent up for 5 seconds", () =>
    Effect.gen(function* () {
      const agent = yield* stopInHang({})
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(agent.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "Stopped")
      assert.strictEqual((yield* Chat.storedRun)?.outcome, "stopped")
    }).pipe(Effect.provide(env))
  )

  it.effect("holds it up no longer than the run's grace period", () =>
    Effect.gen(function* () {
      const agent = yield* stopInHang({ gracePeriod: "1 second" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(agent))._tag, "Stopped")
      assert.strictEqual((yield* Chat.storedRun)?.outcome, "abandoned")
      // What is left behind ends by itself.
      yield* TestClock.adjust("4 seconds")
    }).pipe(Effect.provide(env))
  )
})

describe("an MCP tool that fails", () => {
  const env = Layer.mergeAll(
    Chat.layer,
    Layer.provideMerge(layerHttp(McpProtocol.v2026_07_28), Journal.layer),
    Logger.layer([])
  )
  const agentWith = <Tools extends Record<string, Tool.Any>>(
    toolkit: Toolkit.WithHandler<Tools>,
    name: string
  ) =>
    AgentLoop.run({ prompt: "Do it.", toolkit }).pipe(
      Effect.provide([
        ChatService.layer({ ref: Chat.ref, runId: Chat.runId }),
        ScriptedModel.layer([...ScriptedModel.calls(name), ScriptedModel.ends("tool-calls")])
      ])
    )

  it.live("ends the agent if it is one of McpClient.toolkit", () =>
    Effect.gen(function* () {
      const tools = yield* McpClient.toolkit(yield* McpClient.McpClient)
      const error = yield* Effect.flip(agentWith(tools, "Refuse"))
      assert.include(JSON.stringify(error), "there is no such file")
    }).pipe(Effect.provide(env))
  )

  it.live("is told to the model if it is made as the guide makes it", () =>
    Effect.gen(function* () {
      const result = yield* agentWith(yield* forgiving, "files__Refuse")
      assert.strictEqual(result._tag, "Completed")
      assert.strictEqual(result.text, "Done.")
      assert.include(JSON.stringify(result.messages), "there is no such file")
      assert.include(JSON.stringify(yield* call("Release")), "released")
    }).pipe(Effect.provide(env))
  )
})

/** What docs/tools.md shows. */
const forgiving = Effect.gen(function* () {
  const client = yield* McpClient.McpClient
  const found = yield* client.listTools()
  const toolkit = Toolkit.make(
    ...found.map(({ description, inputSchema, name }) =>
      Tool.dynamic(`files__${name}`, {
        description,
        parameters: inputSchema,
        success: Schema.String,
        failure: Schema.String,
        failureMode: "return"
      }).annotate(Tool.Strict, false)
    )
  )
  const handlers = found.map((tool) => [
    `files__${tool.name}`,
    (params: unknown) =>
      client.callTool({ tool, arguments: Predicate.isObject(params) ? params : {} }).pipe(
        Effect.mapError((error) => error.message),
        Effect.flatMap(({ content, isError }) => {
          const said = JSON.stringify(content)
          return isError === true ? Effect.fail(said) : Effect.succeed(said)
        })
      )
  ])
  const context = yield* toolkit.toHandlers(Object.fromEntries(handlers))
  return yield* Effect.provideContext(toolkit, context)
})

/** The agent's model calls this; stopped once the server runs it. */
const stopWhileIn = (name: string) =>
  Effect.gen(function* () {
    const { until } = yield* Journal
    const tools = yield* McpClient.toolkit(yield* McpClient.McpClient)
    return yield* stoppedCalls(tools, until(is("Began", name)), { calls: [name] })
  })

/** The same connection, used outside of the agent. */
const call = Effect.fnUntraced(function* (name: string) {
  const mcp = yield* McpClient.McpClient
  const tool = (yield* mcp.listTools()).find((it) => it.name === name)
  if (tool === undefined) return yield* Effect.die(new Error(`There is no ${name}`))
  return (yield* mcp.callTool({ tool })).content
})

const is = (tag: "Began" | "Interrupted", tool: string) => (entry: Heard) =>
  entry._tag === tag && entry.tool === tool

/** The ids of the calls of a tool, as they came over the wire. */
const callsOf = (entries: ReadonlyArray<Heard>, name: string) =>
  entries.flatMap((entry) =>
    entry._tag === "Message" && entry.message.params?.name === name ? [entry.message.id] : []
  )

/** The ids of the calls that a message cancelled. */
const cancelledIn = (entries: ReadonlyArray<Heard>) =>
  entries.flatMap((entry) =>
    entry._tag === "Message" && entry.message.method === "notifications/cancelled"
      ? [entry.message.params?.requestId]
      : []
  )

/** The ids of the requests whose response was closed before it was there. */
const closedIn = (entries: ReadonlyArray<Heard>) =>
  entries.flatMap((entry) => (entry._tag === "Closed" ? [entry.id] : []))
