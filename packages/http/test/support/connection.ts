// A client that says exactly what it is told to, and shows exactly what it was told.
import * as Effect from "effect/Effect"
import { connect as open, type Socket } from "node:net"
import { makeCount } from "./count.ts"

export interface Connection {
  readonly socket: Socket
  readonly write: (bytes: Uint8Array | string) => Effect.Effect<void>
  /** All that came so far. */
  readonly text: () => string
  /** Waits until what came looks like this; dies if the server closes without it. */
  readonly until: (wanted: (text: string) => boolean) => Effect.Effect<string>
  /** Waits until it is closed, and answers all that came. */
  readonly closed: Effect.Effect<string>
}

/** A connection that is destroyed with the scope. */
export const connect = Effect.fnUntraced(function* (port: number) {
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const opened = open({ port, host: "127.0.0.1" }, () => resume(Effect.succeed(opened)))
      opened.on("error", (error) => {
        // A server that closes on one who still writes is what some tests are about.
        if (opened.connecting) resume(Effect.die(error))
      })
    }),
    (opened) => Effect.sync(() => opened.destroy())
  )
  return observe(socket)
})

const observe = (socket: Socket): Connection => {
  const chunks: Array<string> = []
  const news = makeCount()
  socket.setEncoding("latin1")
  socket.on("data", (chunk) => {
    chunks.push(String(chunk))
    news.add(1)
  })
  socket.on("close", () => {
    news.add(1)
  })
  const text = () => chunks.join("")

  const until = (wanted: (text: string) => boolean): Effect.Effect<string> =>
    Effect.gen(function* () {
      while (true) {
        const seen = yield* news.now
        if (wanted(text())) return text()
        if (socket.closed)
          return yield* Effect.die(new Error(`Closed after ${JSON.stringify(text())}`))
        yield* news.atLeast(seen + 1)
      }
    })

  const closed = Effect.gen(function* () {
    while (!socket.closed) yield* news.atLeast((yield* news.now) + 1)
    return text()
  })

  return {
    socket,
    text,
    until,
    closed,
    write: (bytes) =>
      Effect.callback<void>((resume) => {
        if (socket.destroyed || !socket.writable) return resume(Effect.void)
        socket.write(bytes, () => resume(Effect.void))
      })
  }
}
