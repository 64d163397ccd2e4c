/** What the tests of the signal share. */
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { openLayer, tcpServer } from "../../sql/test/support/signals.ts"
import { until } from "../../sql/test/support/until.ts"
import { RedisStopSignal } from "../src/index.ts"

export {
  freshRun,
  observe,
  openLayer,
  sockets,
  timed,
  untilLater
} from "../../sql/test/support/signals.ts"

export const open = (
  url: Redacted.Redacted,
  options?: Omit<RedisStopSignal.RedisStopSignalOptions, "url">
) => openLayer(RedisStopSignal.layer({ url, ...options }))

/** Waits until so many lines of this level were logged. */
export const logs = (
  { linesAt }: { readonly linesAt: (level: "Warn" | "Info") => ReadonlyArray<string> },
  level: "Warn" | "Info",
  times: number
) =>
  until(
    Effect.sync(() => linesAt(level)),
    (lines) => lines.length === times
  )

/** A server that lets everybody in, and then answers nothing, or hangs up at once. */
export const muteServer = Effect.fnUntraced(function* (onSocket?: (socket: Socket) => void) {
  const server = yield* tcpServer((socket) => {
    socket.resume()
    onSocket?.(socket)
  })
  return { ...server, url: Redacted.make(`redis://somebody:s3cret@127.0.0.1:${server.port}`) }
})
