/** What the tests of a signal share, whichever it is. */
import { createServer, type Socket } from "node:net"
import { inspect } from "node:util"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  MessageRef,
  Run,
  RunId,
  runKey,
  type StopHint,
  StopSignal,
  type StopSignalService
} from "effect-cancellation"
import { freePort } from "./freePort.ts"
import { until } from "./until.ts"

export const freshRun = (): Run =>
  Run.make({
    ref: MessageRef.of({ chatId: crypto.randomUUID(), messageId: crypto.randomUUID() }),
    runId: RunId.make(crypto.randomUUID())
  })

/** A signal, and what it logs. */
export const openLayer = Effect.fnUntraced(function* (layer: Layer.Layer<never>) {
  const lines: Array<string> = []
  const raw: Array<string> = []
  const logger = Logger.layer([
    Logger.make((entry) => {
      const { logLevel, message } = entry
      lines.push(`${logLevel}: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
      raw.push(inspect([message, entry.cause], { depth: null, showHidden: true }))
    })
  ])
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.build(Layer.fresh(layer).pipe(Layer.provide(logger))).pipe(
    Scope.provide(scope)
  )
  const signal = Context.get(context, StopSignal)
  return {
    signal,
    lines,
    raw,
    linesAt: (level: string) => lines.filter((line) => line.startsWith(level)),
    close: Scope.close(scope, Exit.void)
  }
})

/** Subscribes until it leaves, or the scope closes. */
export const observe = Effect.fnUntraced(function* (signal: StopSignalService) {
  const seen: Array<StopHint> = []
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Effect.forkIn(
    Stream.runForEach(signal.hints, (hint) => Effect.sync(() => void seen.push(hint))),
    scope,
    { startImmediately: true }
  )
  const runs = () => seen.flatMap((hint) => (hint._tag === "Hint" ? [runKey(hint.run)] : []))
  const reconnected = () => seen.filter((hint) => hint._tag === "Reconnected").length
  return {
    runs,
    reconnected,
    hears: (run: Run) => until(Effect.sync(runs), (keys) => keys.includes(runKey(run))),
    hearsReconnected: (times: number) =>
      until(Effect.sync(reconnected), (count) => count === times),
    leave: Scope.close(scope, Exit.void)
  }
})

/** How many milliseconds it takes, by the clock on the wall. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const clock = Clock.Clock.defaultValue()
    const start = clock.currentTimeMillisUnsafe()
    yield* effect
    return clock.currentTimeMillisUnsafe() - start
  })

/**
 * Looks again, a little later by the test's clock each time, until it is as wanted. That clock is
 * faster than the network: use it only where nothing depends on an answer within 5 seconds.
 */
export const untilLater = Effect.fnUntraced(function* <A>(
  look: Effect.Effect<A>,
  accept: (seen: A) => boolean,
  step: `${number} millis` = "250 millis"
) {
  const clock = yield* TestClock.testClockWith(Effect.succeed)
  return yield* until(Effect.andThen(clock.adjust(step), look), accept)
})

/** How many sockets this process has. */
export const sockets = () =>
  process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

/** A server of this process, closed with the scope; what it says is up to `onSocket`. */
export const tcpServer = Effect.fnUntraced(function* (onSocket: (socket: Socket) => void) {
  let accepted = 0
  const connected = new Set<Socket>()
  const listener = createServer((socket) => {
    accepted++
    connected.add(socket)
    socket.on("close", () => connected.delete(socket))
    socket.on("error", () => {})
    onSocket(socket)
  })
  const port = yield* freePort
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      listener.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        for (const socket of connected) socket.destroy()
        listener.close()
      })
  )
  return { port, accepted: () => accepted, connected: () => connected.size }
})
