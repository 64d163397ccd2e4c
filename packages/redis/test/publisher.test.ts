import { assert, it } from "@effect/vitest"
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { freshRun, muteServer, open } from "./signal.fixture.ts"
import { until } from "../../sql/test/support/until.ts"

const answer = (socket: Socket, said: string) =>
  socket.write(said.includes("PUBLISH") ? ":0\r\n" : "+OK\r\n")

it.live("an attempt to connect outlives whoever gave up waiting for it, and serves the next", () =>
  Effect.gen(function* () {
    const waiting: Array<() => void> = []
    let isSlow = true
    const server = yield* muteServer((socket) => {
      socket.on("data", (data) => {
        const send = () => answer(socket, String(data))
        if (isSlow) waiting.push(send)
        else send()
      })
    })
    const { signal } = yield* open(server.url)
    const first = yield* Effect.forkChild(signal.publish(freshRun()))
    yield* until(
      Effect.sync(() => waiting.length),
      (count) => count > 0
    )
    yield* Fiber.interrupt(first)
    const second = yield* Effect.forkChild(signal.publish(freshRun()), { startImmediately: true })
    isSlow = false
    for (const send of waiting) send()
    yield* Fiber.join(second)
    assert.strictEqual(server.accepted(), 1)
  })
)

it.live("a connection on which something came that nobody asked for is not used again", () =>
  Effect.gen(function* () {
    const server = yield* muteServer((socket) => {
      const isFirst = server.accepted() === 1
      socket.on("data", (data) => {
        socket.cork()
        answer(socket, String(data))
        // In the same packet, so that it comes while nothing is asked.
        if (isFirst && String(data).includes("PUBLISH")) socket.write("-ERR nobody asked\r\n")
        socket.uncork()
      })
    })
    const { signal } = yield* open(server.url)
    yield* signal.publish(freshRun())
    yield* until(Effect.exit(signal.publish(freshRun())), () => server.accepted() === 2)
    yield* signal.publish(freshRun())
    assert.strictEqual(server.accepted(), 2)
  })
)
