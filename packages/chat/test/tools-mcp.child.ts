// An MCP server on stdio, that tells the test on a connection what comes over the wire.
import { connect } from "node:net"
import { NodeStdio } from "@effect/platform-node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { McpProtocol, McpServer } from "effect/ai"
import { type Heard, named, registrations } from "./tools-mcp.fixture.ts"

const test = connect({ port: Number(process.argv[2]), host: "127.0.0.1" })
// The test ends the process by closing its stdin.
test.unref()
const tell = (entry: Heard) => test.write(`${JSON.stringify(entry)}\n`)

const Wire = Layer.effect(
  Stdio.Stdio,
  Effect.map(Stdio.Stdio, (stdio) => ({
    ...stdio,
    stdin: stdio.stdin.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.tap((line) => Effect.sync(() => tell({ _tag: "Message", message: JSON.parse(line) }))),
      Stream.map((line) => `${line}\n`),
      Stream.encodeText
    )
  }))
).pipe(Layer.provide(NodeStdio.layer))

McpServer.layerStdio({
  ...named,
  protocols: [McpProtocol.v2025_11_25, McpProtocol.v2026_07_28],
  registrations: registrations(tell)
}).pipe(Layer.provide([Wire, Logger.layer([])]), Layer.launch, Effect.runFork)
