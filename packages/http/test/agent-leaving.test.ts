import { Duplex } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { observe } from "../../sql/test/support/signals.ts"
import { until } from "../../sql/test/support/until.ts"
import { openAgent, runIn, startServer } from "./support/agentFixture.ts"
import { connect } from "./support/connection.ts"

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

  // A server waits that long for what is under way. A stream of hints is, and so is half a body.
  for (const [title, request] of [
    ["a stream of hints", hints],
    [
      "half a body",
      "POST /agent/look HTTP/1.1\r\nhost: x\r\nauthorization: Bearer acme\r\n" +
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    ]
  ] as const) {
    it.live(`closes after its grace, and not later for ${title}`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.fork(yield* Effect.scope)
        const server = yield* startServer({ graceful: "300 millis" }).pipe(Scope.provide(scope))
        const connection = yield* connect(Number(new URL(server.url).port))
        yield* connection.write(request)
        yield* until(Effect.sync(server.requests), (requests) => requests.length === 1)
        const began = performance.now()
        yield* Scope.close(scope, Exit.void)
        assert.isBelow(performance.now() - began, 3000)
        yield* connection.closed
        assert.strictEqual(server.connected(), 0)
      })
    )
  }

  it.live("is found again by those who heard its hints, once it is back", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const before = yield* startServer({ graceful: "100 millis" }).pipe(Scope.provide(scope))
      const port = Number(new URL(before.url).port)
      const { signal } = yield* openAgent(before.url)
      const observer = yield* observe(signal)
      yield* observer.hearsReconnected(1)
      yield* Scope.close(scope, Exit.void)
      const after = yield* startServer({ port })
      yield* observer.hearsReconnected(2)
      const run = runIn("acme")
      yield* after.signal.publish(run)
      yield* observer.hears(run)
    })
  )
})
