/** What the tests of the signal share. */
import { createServer, type Socket } from "node:net"
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  ChatId,
  MessageId,
  MessageRef,
  Run,
  RunId,
  runKey,
  type StopHint,
  StopSignal,
  type StopSignalService
} from "effect-cancellation"
import * as PgStopSignal from "../src/PgStopSignal.ts"
import { freePort } from "./support/freePort.ts"
import { until } from "./support/until.ts"

/** A signal on the server of this URL, with the client that it uses, and what it logs. */
export const open = Effect.fnUntraced(function* (
  url: Redacted.Redacted,
  options?: PgStopSignal.PgStopSignalOptions,
  config?: Omit<PgClient.PgPoolConfig, "url">
) {
  const client = Context.get(
    yield* Layer.build(Layer.fresh(PgClient.layer({ ...config, url }))),
    PgClient.PgClient
  )
  let probes = 0
  const counting = new Proxy(client, {
    get: (target, property, receiver) =>
      property === "notify"
        ? (channel: string, payload: string) =>
            Effect.suspend(() => {
              probes++
              return client.notify(channel, payload)
            })
        : Reflect.get(target, property, receiver)
  })
  const lines: Array<string> = []
  const logger = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel}: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
    })
  ])
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.build(
    Layer.fresh(PgStopSignal.layer(options)).pipe(
      Layer.provide(Layer.succeed(PgClient.PgClient, counting)),
      Layer.provide(logger)
    )
  ).pipe(Scope.provide(scope))
  const signal = Context.get(context, StopSignal)
  return {
    signal,
    client,
    lines,
    linesAt: (level: string) => lines.filter((line) => line.startsWith(level)),
    /** How many probes were sent. */
    probes: () => probes,
    close: Scope.close(scope, Exit.void)
  }
})

interface Observer {
  readonly runs: () => ReadonlyArray<string>
  readonly reconnected: () => number
  readonly hears: (run: Run) => Effect.Effect<unknown>
  readonly hearsReconnected: (times: number) => Effect.Effect<unknown>
  readonly leave: Effect.Effect<void>
}

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
    hears: (run) => until(Effect.sync(runs), (keys) => keys.includes(runKey(run))),
    hearsReconnected: (times) => until(Effect.sync(reconnected), (count) => count === times),
    leave: Scope.close(scope, Exit.void)
  } satisfies Observer
})

/** A connection that sees and does what an operator can. */
export const operator = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const connection = yield* PgConnection.make({ url, applicationName: "operator" })
  const column = (sql: string, params: ReadonlyArray<unknown> = []) =>
    Effect.map(Effect.orDie(connection.queryValues(sql, params)), (rows) =>
      rows.map(([value]) => value)
    )
  /** The servers' processes of the connections that have said LISTEN under this name. */
  const listeners = (name = "effect-cancellation-listen") =>
    column(
      `SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = $1
          AND state = 'idle' AND query LIKE 'LISTEN "effect_cancellation_probe%'`,
      [name]
    )
  return {
    column,
    listeners,
    /** Waits for it. */
    listener: Effect.map(
      until(listeners(), (pids) => pids.length === 1),
      ([pid]) => Number(pid)
    ),
    connections: column(
      `SELECT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND application_name <> 'operator'`
    ),
    terminate: (pid: number) => column("SELECT pg_terminate_backend($1)", [pid]),
    notify: (payload: string, channel = PgStopSignal.defaultChannel) =>
      column("SELECT CAST(pg_notify($1, $2) AS text)", [channel, payload])
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
  accept: (seen: A) => boolean
) {
  const clock = yield* TestClock.testClockWith(Effect.succeed)
  return yield* until(Effect.andThen(clock.adjust("250 millis"), look), accept)
})

/** How many sockets this process has, proxies included. */
export const sockets = () =>
  process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

/** A server that lets everybody in, and then answers nothing. */
export const muteServer = Effect.gen(function* () {
  let asked = 0
  const connected = new Set<Socket>()
  const server = createServer((socket) => {
    connected.add(socket)
    socket.on("close", () => connected.delete(socket))
    socket.on("error", () => {})
    socket.on("data", (data) => {
      if (data.includes("SELECT") || data.includes("LISTEN")) asked++
      // AuthenticationOk, BackendKeyData, ReadyForQuery
      else
        socket.write(
          Buffer.from(
            "R0000000800000000K0000000c0000000100000001Z0000000549".replace(/[RKZ]/g, (tag) =>
              Buffer.from(tag).toString("hex")
            ),
            "hex"
          )
        )
    })
  })
  const port = yield* freePort
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        for (const socket of connected) socket.destroy()
        server.close()
      })
  )
  return {
    url: Redacted.make(`postgres://nobody@127.0.0.1:${port}/nothing`),
    /** How often it was asked something. */
    asked: () => asked,
    connected: () => connected.size
  }
})

export const freshRun = (): Run =>
  Run.make({
    ref: MessageRef.make({
      chatId: ChatId.make(crypto.randomUUID()),
      messageId: MessageId.make(crypto.randomUUID())
    }),
    runId: RunId.make(crypto.randomUUID())
  })
