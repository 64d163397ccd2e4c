import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { RunId, UserId } from "effect-cancellation"
import { Receipt } from "effect-cancellation-http/StopApi"
import { StopClient, type StopClientOptions } from "effect-cancellation-http/StopClient"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { event, receipts } from "./support/receipts.ts"
import { type Answer, listen, stream } from "./support/scripted.ts"
import { openServer } from "./support/server.ts"
import { runOf } from "./support/stops.ts"

const run = runOf({ chatId: "chat/1", messageId: "message 1?" })
const { ref, runId } = run
const target = { chatId: ref.chatId, messageId: ref.messageId }

const clientOf = (options: StopClientOptions) =>
  StopClient.layer(options).pipe(
    Layer.provide(FetchHttpClient.layer),
    Layer.build,
    Effect.map(Context.get(StopClient))
  )

/** The API on a socket of its own, and how Ada or another asks it. */
const open = Effect.gen(function* () {
  const server = yield* openServer()
  const as = (token: string, port = server.port) =>
    clientOf({
      baseUrl: `http://127.0.0.1:${port}`,
      transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token))
    })
  const advance = (to: "observed" | "completed" | "stopped") =>
    Effect.orDie(server.faults.store.advanceRuns([{ run, to }]))
  return { ...server, as, advance, stops: yield* as("ada") }
})

/** A server that answers what it is told to. */
const scripted = Effect.fnUntraced(function* (answer: Answer) {
  const server = yield* Effect.acquireRelease(
    Effect.promise(() => listen(answer)),
    (server) => Effect.promise(() => server[Symbol.asyncDispose]())
  )
  const stops = yield* clientOf({ baseUrl: new URL(`${server.url}/api`) })
  return { ...server, stops }
})

describe("StopClient", () => {
  it.live("stops a message, and says how far the stop has come", () =>
    Effect.gen(function* () {
      const { advance, start, stops } = yield* open
      yield* start(run)
      assert.deepStrictEqual(yield* stops.receipt(target), { phase: "none", ...target, runId })
      const receipt = yield* stops.stopMessage({ ...target, note: "Enough 😀" })
      if (receipt.phase !== "requested") return assert.fail(receipt.phase)
      assert.isTrue(DateTime.isDateTime(receipt.requested.at))
      const { by, note, reason } = receipt.requested
      assert.deepStrictEqual([by, reason, note], [UserId.make("ada"), "user", "Enough 😀"])
      const waiting = yield* Effect.forkChild(
        stops.stopMessage({ ...target, runId, wait: "ended", reason: "disconnect" })
      )
      yield* advance("observed")
      yield* advance("stopped")
      const ended = yield* Fiber.join(waiting)
      if (ended.phase !== "ended") return assert.fail(ended.phase)
      assert.deepStrictEqual(
        [ended.repeated, ended.ended.outcome, ended.requested.reason],
        [true, "stopped", "user"]
      )
    })
  )

  it.live("stops the run that is meant, and no newer one", () =>
    Effect.gen(function* () {
      const { start, stops } = yield* open
      yield* start(run)
      yield* start(runOf({ ...target, runId: "run-2" }))
      assert.strictEqual((yield* stops.stopMessage({ ...target, runId })).phase, "superseded")
      assert.strictEqual((yield* stops.receipt(target)).phase, "none")
      assert.strictEqual((yield* stops.stopMessage(target)).phase, "requested")
    })
  )

  it.live("stops a chat", () =>
    Effect.gen(function* () {
      const { start, stops } = yield* open
      const other = runOf({ chatId: ref.chatId, messageId: "message 2" })
      yield* start(run, other)
      const receipts = yield* stops.stopChat({ chatId: ref.chatId, reason: "disconnect" })
      assert.deepStrictEqual(
        receipts.map(({ messageId, phase }) => `${messageId} ${phase}`).toSorted(),
        ["message 1? requested", "message 2 requested"]
      )
    })
  )

  it.live("follows a message to its end", () =>
    Effect.gen(function* () {
      const told = [receipts.none, receipts.requested, receipts.observed, receipts.ended]
      const { asked, stops } = yield* scripted((response) =>
        stream(response, ": welcome\n\n", ...told.map(event)).end()
      )
      const heard = yield* Stream.runCollect(stops.events({ ...target, runId }))
      assert.deepStrictEqual(
        heard,
        told.map((receipt) => Schema.decodeSync(Receipt)(receipt))
      )
      assert.deepStrictEqual(
        asked.map(({ url }) => url),
        ["/api/chats/chat%2F1/messages/message%201%3F/stop/events?runId=run-1"]
      )
    })
  )

  it.live("leaves no connection when it listens no more", () =>
    Effect.gen(function* () {
      const { connected, stops, until } = yield* scripted((response) =>
        stream(response, event(receipts.none))
      )
      yield* Stream.runDrain(Stream.take(stops.events(target), 1))
      yield* Effect.promise(() => until(() => connected() === 0))
    })
  )

  it.live("follows a message of the server to its end", () =>
    Effect.gen(function* () {
      const { advance, start, stops } = yield* open
      yield* start(run)
      const next = (phase: string) => {
        switch (phase) {
          case "none":
            return Effect.asVoid(stops.stopMessage(target))
          case "requested":
            return Effect.asVoid(advance("observed"))
          case "observed":
            return Effect.asVoid(advance("stopped"))
          default:
            return Effect.void
        }
      }
      const phases = yield* stops.events({ ...target, runId }).pipe(
        Stream.map(({ phase }) => phase),
        Stream.changes,
        Stream.tap(next),
        Stream.runCollect
      )
      assert.strictEqual(phases.at(-1), "ended")
    })
  )

  it.live("fails with the problem of the server, or with that nobody answers", () =>
    Effect.gen(function* () {
      const { as, faults, start, stops } = yield* open
      const shared = runOf({ chatId: "shared-1" })
      yield* start(run, shared)
      const tagOf = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
        effect.pipe(
          Effect.flip,
          Effect.map(({ _tag }) => _tag)
        )
      const bob = yield* as("bob")
      const { chatId, messageId } = shared.ref
      assert.strictEqual(yield* tagOf(bob.stopMessage({ chatId, messageId })), "Forbidden")
      assert.strictEqual(yield* tagOf(bob.receipt(target)), "NotFound")
      assert.strictEqual(
        yield* tagOf(Stream.runDrain(stops.events({ ...target, runId: RunId.make("other") }))),
        "NotFound"
      )
      const nobody = yield* as("expired")
      assert.strictEqual(yield* tagOf(nobody.stopChat({ chatId })), "Unauthenticated")
      yield* faults.set({ all: { _tag: "Fail" } })
      const unavailable = yield* Effect.flip(stops.stopMessage(target))
      if (unavailable._tag !== "Unavailable") return assert.fail(unavailable._tag)
      assert.isAtLeast(unavailable.retryAfter, 1)
      const elsewhere = yield* as("ada", 1)
      assert.strictEqual(yield* tagOf(elsewhere.stopMessage(target)), "HttpClientError")
    })
  )
})
