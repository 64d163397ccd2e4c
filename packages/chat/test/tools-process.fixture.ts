/** What the child processes of tools tell a test of themselves. */
import { createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import path from "node:path"
import { createInterface } from "node:readline"
import type * as Duration from "effect/Duration"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { ChildProcess } from "effect/process"

export interface Reporter {
  readonly name: string
  readonly pid: number
  /** The signals it gets. */
  readonly signals: Queue.Queue<string>
  /** Waits until the process is gone. */
  readonly gone: Effect.Effect<void>
  readonly isGone: () => boolean
  /** Lets it end by itself. */
  readonly finish: Effect.Effect<void>
}

/** Goes away with the scope, and so does whoever reports to it. */
export const makeReports = Effect.gen(function* () {
  const started = yield* Queue.unbounded<Reporter>()
  const context = yield* Effect.context<never>()
  const server = createServer((socket) => {
    const signals = Effect.runSyncWith(context)(Queue.unbounded<string>())
    const gone = Deferred.makeUnsafe<void>()
    socket.on("error", () => {})
    socket.on("close", () => Deferred.doneUnsafe(gone, Effect.void))
    let isKnown = false
    const lines = createInterface({ input: socket }).on("error", () => {})
    lines.on("line", (line) => {
      if (isKnown) return Queue.offerUnsafe(signals, line)
      isKnown = true
      const [pid = "", ...name] = line.split(" ").toReversed()
      return Queue.offerUnsafe(started, {
        name: name.toReversed().join(" "),
        pid: Number(pid),
        signals,
        gone: Deferred.await(gone),
        isGone: () => Deferred.isDoneUnsafe(gone),
        finish: Effect.sync(() => socket.write("finish\n"))
      })
    })
    sockets.add(socket)
  })
  const sockets = new Set<Socket>()
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.end("finish\n")
      })
  )
  const { port } = server.address() as AddressInfo

  /** A command that reports here. */
  const command = (
    name: string,
    behaviour: ReadonlyArray<"stay" | "parent" | "last-words">,
    forceKillAfter?: Duration.Input
  ) =>
    ChildProcess.make(
      process.execPath,
      [path.join(import.meta.dirname, "tools-process.child.ts"), String(port), name, ...behaviour],
      { forceKillAfter }
    )
  return { started, command }
})
