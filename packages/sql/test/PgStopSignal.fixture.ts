/** What the tests of the signal share. */
import { PgClient, PgConnection } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as PgStopSignal from "../src/PgStopSignal.ts"
import { openLayer, tcpServer } from "./support/signals.ts"
import { until } from "./support/until.ts"

export { freshRun, observe, sockets, timed, untilLater } from "./support/signals.ts"

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
  const opened = yield* openLayer(
    PgStopSignal.layer(options).pipe(Layer.provide(Layer.succeed(PgClient.PgClient, counting)))
  )
  return {
    ...opened,
    client,
    /** How many probes were sent. */
    probes: () => probes
  }
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

/** A server that lets everybody in, and then answers nothing. */
export const muteServer = Effect.gen(function* () {
  let asked = 0
  const server = yield* tcpServer((socket) => {
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
  return {
    url: Redacted.make(`postgres://nobody@127.0.0.1:${server.port}/nothing`),
    /** How often it was asked something. */
    asked: () => asked,
    connected: server.connected
  }
})
