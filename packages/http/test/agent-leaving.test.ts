import { Duplex } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { until } from "../../sql/test/support/until.ts"
import { startServer } from "./agent-fixture.ts"

const hints = "GET /agent/hints HTTP/1.1\r\nhost: x\r\nauthorization: Bearer acme\r\n\r\n"

/** Takes what comes first, and then nothing more; nothing of a kernel buffers for it. */
class Stuck extends Duplex {
  taken = 0
  constructor() {
    super({ writableHighWaterMark: 1 })
  }
  override _read() {}
  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void) {
    if (this.taken++ < 3) done()
  }
}

describe("the server of the Agent API", () => {
  it.live("lets an agent go that does not read, when it should show its credentials again", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ maxHints: "300 millis", keepAlive: "20 millis" })
      const stuck = yield* Effect.acquireRelease(
        Effect.sync(() => new Stuck()),
        (opened) => Effect.sync(() => opened.destroy())
      )
      server.http.emit("connection", stuck)
      stuck.push(hints)
      yield* until(
        Effect.sync(() => stuck.taken),
        (taken) => taken > 3
      )
      assert.strictEqual(server.hearing(), 1)
      yield* until(Effect.sync(server.hearing), (hearing) => hearing === 0, "3 seconds")
      assert.isTrue(stuck.destroyed)
    })
  )
})
